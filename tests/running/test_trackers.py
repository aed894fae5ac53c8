"""Trackers: runs are sent through each client when they are finished; a failing one stops nothing.

TensorBoard's client is the real one, the others are stood in for: they want a server.
"""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from calling import assert_refused, call
from lorasweep.folder.records import EvalEntry, RunRecord, StepEntry
from lorasweep.folder.store import Store
from lorasweep.running.trackers import Trackers
from tiny import make_record

HISTORY = [
    StepEntry(step=step, epoch=0, loss=2.0 - step, grad_norm=0.5, lr=1e-3, num_questions=8,
              num_answer_tokens=20)
    for step in (0, 1)
] + [
    StepEntry(step=2, epoch=0, loss=1.0, grad_norm=None, lr=1e-3, num_questions=8,
              num_answer_tokens=20),
] + [EvalEntry(step=3, epoch=0, eval_loss=1.25)]  # fmt: skip
BY_STEP = [
    (0, {"train/loss": 2.0, "train/grad_norm": 0.5, "train/lr": 1e-3}),
    (1, {"train/loss": 1.0, "train/grad_norm": 0.5, "train/lr": 1e-3}),
    (2, {"train/loss": 1.0, "train/lr": 1e-3}),
    (3, {"eval/loss": 1.25}),
]
FINAL = {"greedy/exact_match": 20.0, "greedy/f1": 40.0, "train_seconds": 1.0}


@pytest.fixture
def record() -> RunRecord:
    return make_record("abc", 40.0, label="r2 lr1e-3")


class Client(ModuleType):
    """Stands in for wandb, trackio and mlflow, and remembers what it was told."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.told: list[Any] = []
        self.final: dict[str, float] = {}

    @property
    def summary(self) -> dict[str, float]:
        return self.final

    def init(self, **settings: Any) -> "Client":
        print("hello from the client")
        self.told.append((settings["project"], settings["name"], settings["config"]["run"]))
        return self

    def log(self, values: dict[str, float], step: int | None = None) -> None:
        self.told.append((step, values))

    def finish(self) -> None:
        self.told.append("finished")

    def set_experiment(self, name: str) -> None:
        self.told.append(name)

    def start_run(self, run_name: str) -> "Client":
        self.told.append(run_name)
        return self

    def log_params(self, settings: dict[str, Any]) -> None:
        self.told.append(settings["run"])

    def log_metrics(self, values: dict[str, float], step: int | None = None) -> None:
        self.log(values, step)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        self.finish()


BEGUN = [("tiny", "r2 lr1e-3", "abc"), *BY_STEP]
EXPECTED = {
    "wandb": [*BEGUN, "finished"],
    "trackio": [*BEGUN, (None, FINAL), "finished"],
    "mlflow": ["tiny", "r2 lr1e-3", "abc", *BY_STEP, (None, FINAL), "finished"],
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_run_is_sent_whole(
    name: str, record: RunRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    client = Client(name)
    monkeypatch.setitem(sys.modules, name, client)
    notes: list[str] = []
    Trackers([name, name], tmp_path, notes.append).send("tiny", record, HISTORY)
    assert notes == []
    assert client.told == EXPECTED[name]
    assert client.final == (FINAL if name == "wandb" else {})
    assert capsys.readouterr().out == "", "standard output is for results"


def test_tensorboard_gets_scalars(record: RunRecord, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    notes: list[str] = []
    Trackers(["tensorboard"], tmp_path, notes.append).send("tiny", record, HISTORY)
    assert notes == []
    events = EventAccumulator(str(tmp_path / "trackers" / "tensorboard" / "abc"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [
        (0, 2.0),
        (1, 1.0),
        (2, 1.0),
    ]
    assert [e.step for e in events.Scalars("train/grad_norm")] == [0, 1]
    assert [(e.step, e.value) for e in events.Scalars("eval/loss")] == [(3, 1.25)]
    assert [e.value for e in events.Scalars("greedy/f1")] == [40.0]


def test_a_tracker_that_fails_is_left_alone(
    record: RunRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(Client):
        def init(self, **settings: Any) -> "Client":
            self.told.append("asked")
            raise ConnectionError("no\nserver")

    failing, sound = Failing("wandb"), Client("trackio")
    monkeypatch.setitem(sys.modules, "wandb", failing)
    monkeypatch.setitem(sys.modules, "trackio", sound)
    notes: list[str] = []
    trackers = Trackers(["wandb", "trackio"], tmp_path, notes.append)
    for _ in range(2):
        trackers.send("tiny", record, HISTORY)
    assert notes == ["warning: wandb failed and is left alone from here on: no server"]
    assert failing.told == ["asked"]
    assert sound.told.count("finished") == 2


def test_a_study_ends_well_though_its_tracker_fails(
    gpt2_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(Client):
        def set_experiment(self, name: str) -> None:
            raise OSError("the disk is full")

    monkeypatch.setitem(sys.modules, "mlflow", Failing("mlflow"))
    file, out = gpt2_study.parent / "tiny.toml", tmp_path / "out"
    ended = call("run", file, "--out", out, "--json", "--track", "mlflow", "--track", "tensorboard")
    assert ended.code == 0
    runs = json.loads(ended.out)["runs"]
    assert [run["state"] for run in runs] == ["done", "done"]
    assert "warning: mlflow failed and is left alone from here on: the disk is full" in ended.err
    kept = {f.parent.name for f in (out / "trackers" / "tensorboard").rglob("events.*")}
    assert kept == {run["id"] for run in runs}
    again = call("run", file, "--out", out, "--quiet", "--track", "tensorboard")
    assert (again.code, len(list((out / "trackers").rglob("events.*")))) == (0, len(runs))
    assert Store(out).read_results().runs


def test_unknown_and_missing_trackers_are_refused_before_anything_is_written(
    gpt2_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["run", gpt2_study.parent / "tiny.toml", "--out", tmp_path / "out", "--track"]
    assert_refused(
        call(*words, "tensorbord"), "no tracker 'tensorbord'; did you mean 'tensorboard'"
    )
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert_refused(call(*words, "wandb"), "pip install -e '.[wandb]'")
    assert not (tmp_path / "out").exists()
