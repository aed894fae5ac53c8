"""Memory that runs out: packs are cut in half, which is said once and recorded."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from folders import results_of

import tiny
from lorasweep import Results, UserError, run
from lorasweep.console.progress import Silent
from lorasweep.folder import heartbeat
from lorasweep.folder.heartbeat import read_heartbeat
from lorasweep.folder.store import Store
from lorasweep.running import session
from lorasweep.running.worker import fitting, pack_run

pytestmark = pytest.mark.usefixtures("no_report")


class Notes(Silent):
    """Keeps what is said of packs that are cut."""

    def __init__(self) -> None:
        self.cuts: list[str] = []

    def note(self, text: str) -> None:
        if "cut in half" in text:
            self.cuts.append(text)


@pytest.fixture
def room_for(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let training run out of memory, as CUDA does, with more lanes than these."""
    train_pack = pack_run.train_pack

    def limit(num_lanes: int) -> None:
        def train(base: Any, trained: Any, *others: Any) -> Any:
            if len(trained.lanes) > num_lanes:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore")
            return train_pack(base, trained, *others)

        monkeypatch.setattr(pack_run, "train_pack", train)

    return limit


def assert_alike(results: Results, others: Results) -> None:
    """Check that the same runs learnt the same, as far as other cuts round."""
    losses = {run.id: run.metrics["eval_loss"] for run in others.runs}
    assert {run.id for run in results.runs} == set(losses)
    for one in results.runs:
        assert one.metrics["eval_loss"] == pytest.approx(losses[one.id], rel=1e-4)


def test_a_pack_that_runs_out_of_memory_is_cut_in_half(
    file: Path, finished: Path, tmp_path: Path, room_for: Callable[[int], None]
) -> None:
    room_for(1)
    notes = Notes()
    study = tiny.load(file, "pack.lanes=4")
    results = run(study, tmp_path, notes)
    assert_alike(results, results_of(finished))
    packs = Store(tmp_path).read_lock().packs
    assert [(p.id, len(p.runs), len(p.cuts)) for p in packs] == [
        (f"pack-0{part}", 1, 2) for part in ("aa", "ab", "ba", "bb")
    ]
    assert {run.pack.id for run in results.runs} == {p.id for p in packs}
    first, *_ = notes.cuts
    assert len(notes.cuts) == 3
    assert first.startswith("warning: pack-0 was cut in half, from 4 lanes and micro-batches of ")
    assert first.endswith("CUDA out of memory. Tried to allocate 2 GiB")
    said = [text for text in results.warnings if "cut in half" in text]
    assert [f"warning: {text}" for text in said] == notes.cuts
    assert not (tmp_path / "checkpoints").exists()
    again = Notes()
    assert run(study, tmp_path, again) == results
    assert again.cuts == []


def test_one_run_that_does_not_fit_is_an_error(
    file: Path, tmp_path: Path, room_for: Callable[[int], None]
) -> None:
    room_for(0)
    with pytest.raises(UserError, match="not enough memory for one run and one paragraph of"):
        run(tiny.load(file), tmp_path)


def test_other_errors_are_no_matter_of_memory(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr(pack_run, "train_pack", fail)
    with pytest.raises(RuntimeError, match="something else"):
        run(tiny.load(file), tmp_path)


def test_packs_are_sized_from_a_measured_first_step(
    file: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "free_memory_bytes", lambda: 1)
    results = run(tiny.load(file), tmp_path)
    assert {run.pack.lanes for run in results.runs} == {1}
    assert any("a first step says that it needs" in text for text in results.warnings)
    assert_alike(results, results_of(finished))


KILLED_IN_ITS_FIRST_STEP = """
import os, signal, sys
from lorasweep import Study, run
from lorasweep.console.progress import Silent

class Killed(Silent):
    def start(self, job, total):
        self.is_training = ": train " in job
    def advance(self, amount, detail=""):
        if self.is_training:
            os.kill(os.getpid(), signal.SIGKILL)

run(Study.load(sys.argv[1]), sys.argv[2], Killed())
"""


@pytest.fixture(scope="module")
def dead(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a process that was killed in the first step of its first pack."""
    out = tmp_path_factory.mktemp("dead") / "out"
    words = [sys.executable, "-c", KILLED_IN_ITS_FIRST_STEP, str(file), str(out)]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    return out


@pytest.fixture
def kills(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], None]:
    """Set what the kernel says of its own kills for memory."""
    return lambda count: monkeypatch.setattr(heartbeat, "_memory_kills", lambda: count)


def edit(out: Path, **changes: Any) -> None:
    folder = out / "checkpoints" / "pack-0"
    beat = read_heartbeat(folder).model_copy(update=changes)
    (folder / heartbeat.FILE).write_text(beat.model_dump_json())


@pytest.mark.parametrize(
    ("changes", "now", "is_cut"),
    [
        ({"memory_deaths": 1, "memory_kills": 3}, 4, True),
        ({"memory_deaths": 0, "memory_kills": 3}, 4, False),
        ({"memory_deaths": 1, "memory_kills": 3}, 3, False),
        ({"memory_deaths": 1, "memory_kills": 3, "boot": "another"}, 4, False),
        ({"memory_deaths": 1, "memory_kills": 3, "boot": ""}, 4, False),
        ({"memory_deaths": 1, "memory_kills": None}, None, False),
        ({"memory_deaths": 1, "memory_kills": None}, 4, False),
    ],
    ids=["kernel's kills", "one, maybe another's", "a person's", "a reboot", "no boot known",
         "no kills known", "none known before"],
)  # fmt: skip
def test_a_pack_killed_before_its_first_checkpoint_is_cut_where_memory_was_the_cause(
    file: Path,
    finished: Path,
    dead: Path,
    tmp_path: Path,
    kills: Callable[[int | None], None],
    changes: dict[str, Any],
    now: int | None,
    is_cut: bool,
) -> None:
    out = Path(shutil.copytree(dead, tmp_path / "out"))
    edit(out, **changes)
    kills(now)
    results = run(tiny.load(file), out)
    assert_alike(results, results_of(finished))
    names = [pack.id for pack in Store(out).read_lock().packs]
    assert names == (["pack-0a", "pack-0b", "pack-1"] if is_cut else ["pack-0", "pack-1"])
    assert any("killed before its first checkpoint" in t for t in results.warnings) is is_cut
    if not is_cut:
        assert tiny.outcomes(results) == tiny.outcomes(results_of(finished))


def test_a_refusal_is_tried_again_once_more_memory_is_free(
    file: Path,
    dead: Path,
    tmp_path: Path,
    kills: Callable[[int | None], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = Path(shutil.copytree(dead, tmp_path / "out"))
    store, folder = Store(out), out / "checkpoints" / "pack-0"
    lock = store.read_lock()
    packs = [p.model_copy(update={"runs": [p.runs[0]], "cuts": ["why"] * 9}) for p in lock.packs]
    others = [p.model_copy(update={"id": f"{p.id}b", "runs": p.runs[1:]}) for p in lock.packs]
    store.write_lock(lock.model_copy(update={"packs": [*packs, *others]}))
    edit(out, memory_kills=3, memory_deaths=1, free_bytes=2 * 10**9)
    kills(4)
    monkeypatch.setattr(session, "free_memory_bytes", lambda: 10**9)
    with pytest.raises(UserError, match="not enough memory for one run and one") as caught:
        run(tiny.load(file), out)
    assert "tried again once more than 2.0 GB are free" in str(caught.value)
    assert f"when {folder} is deleted" in str(caught.value)
    monkeypatch.setattr(session, "free_memory_bytes", lambda: 3 * 10**9)
    assert {each.state for each in run(tiny.load(file), out).runs} == {"done"}


def test_a_death_after_a_checkpoint_is_no_matter_of_memory(
    dead: Path, tmp_path: Path, kills: Callable[[int | None], None]
) -> None:
    out = Path(shutil.copytree(dead, tmp_path / "out"))
    edit(out, memory_kills=3, memory_deaths=1)
    kills(4)
    folder = out / "checkpoints" / "pack-0"
    assert heartbeat.died_of_memory(folder)
    (folder / "step-00000001.safetensors").touch()
    assert not heartbeat.died_of_memory(folder)


def test_a_stop_is_no_death(file: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tiny.load(file), tmp_path, tiny.StopAfter(2))
    folder = tmp_path / "checkpoints" / "pack-0"
    assert read_heartbeat(folder).is_over
    assert read_heartbeat(folder).num_steps_done == 1
    assert not heartbeat.died_early(folder)
