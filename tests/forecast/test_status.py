"""`lorasweep status`: how a folder stands, while others work in it and after they died."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tiny
from calling import assert_refused, call
from lorasweep import run
from lorasweep.errors import UserError
from lorasweep.folder.heartbeat import beating
from lorasweep.folder.holding import holding
from lorasweep.folder.store import Store
from lorasweep.forecast.status import status_of


class StopInTheSecondPack(tiny.StopAfter):
    """Stops after the second step of the second pack."""

    job = ""

    def start(self, job: str, total: int) -> None:
        self.job = job

    def advance(self, amount: int, detail: str = "") -> None:
        if self.job.startswith("pack 2 of 2: train"):
            super().advance(amount, detail)


@pytest.fixture(scope="module")
def stopped(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two packs that was stopped in the second one."""
    out = tmp_path_factory.mktemp("stopped") / "out"
    with pytest.raises(KeyboardInterrupt):
        run(tiny.load(file, "recipe.epochs=2"), out, StopInTheSecondPack(2))
    return out


@pytest.fixture
def out(stopped: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(stopped, tmp_path / "out"))


def states(out: Path) -> list[str]:
    return [run.state for run in status_of(out).runs]


def test_a_stopped_study_has_runs_that_are_done_and_that_wait(stopped: Path) -> None:
    found = status_of(stopped)
    assert states(stopped) == ["done", "done", "waiting", "waiting"]
    assert found.counts == {"done": 2, "running": 0, "waiting": 2, "failed": 0, "stopped": 0}
    assert not found.is_busy
    assert found.best is not None
    assert found.best.f1 == max(run.f1 for run in found.runs if run.f1 is not None)
    assert [run.label for run in found.runs] == [
        *("r2 lr1e-3 attn", "r2 lr3e-3 attn", "r4 lr1e-3 attn", "r4 lr3e-3 attn"),
    ]
    assert [run.share_trained for run in found.runs] == [1.0, 1.0, 0.5, 0.5]
    assert found.seconds_left is not None
    assert 0 < found.seconds_left < 60


def test_what_a_process_is_at_work_on_is_running(out: Path) -> None:
    with holding(out), beating(out / "checkpoints" / "pack-1") as pulse:
        pulse.step(1, 4, is_resumed=True)
        assert states(out) == ["done", "done", "running", "running"]
        assert status_of(out).is_busy
        assert status_of(out).runs[2].share_trained == 0.25
    assert states(out) == ["done", "done", "waiting", "waiting"]


def test_a_killed_process_leaves_runs_that_wait(out: Path) -> None:
    with beating(out / "checkpoints" / "pack-1"):
        (out / ".busy").touch()
        assert states(out) == ["done", "done", "waiting", "waiting"]


@pytest.mark.parametrize("state", ["failed", "stopped"])
def test_other_states_are_those_of_the_records(out: Path, state: str) -> None:
    store = Store(out)
    first = store.read_run(status_of(out).runs[0].id)
    assert first is not None
    store.write_run(first.model_copy(update={"state": state, "metrics": {}}))
    assert states(out) == [state, "done", "waiting", "waiting"]
    best = status_of(out).best
    assert best is not None
    assert best.state == "done"


def test_a_run_that_lost_a_race_was_not_trained_to_its_end(out: Path) -> None:
    assert stop_first(out) == ("stopped", 0.25)


def stop_first(out: Path) -> tuple[str, float]:
    """Let the first run have lost a race at a quarter of its steps; return how it stands."""
    store = Store(out)
    record = store.read_run(status_of(out).runs[0].id)
    assert record is not None
    end = tiny.make_stop(step=1, num_steps=4)
    store.write_run(record.model_copy(update={"state": "stopped", "metrics": {}, "stop": end}))
    return status_of(out).runs[0].state, status_of(out).runs[0].share_trained


def test_a_run_that_is_resumed_after_it_lost_a_race_is_running(out: Path) -> None:
    stop_first(out)
    run_id = status_of(out).runs[0].id
    with holding(out), beating(out / "checkpoints" / f"run-{run_id}") as pulse:
        pulse.step(2, 4, is_resumed=True)
        last = status_of(out).runs[-1]
        assert (last.id, last.state, last.share_trained) == (run_id, "running", 0.5)
        assert states(out) == ["done", "waiting", "waiting", "running"]
    assert states(out) == ["stopped", "done", "waiting", "waiting"]


def test_runs_that_the_study_asks_for_no_more_are_left_out(file: Path, out: Path) -> None:
    run(tiny.load(file, "recipe.epochs=2", "grid.rank=2"), out)
    assert states(out) == ["done", "done"]
    assert status_of(out).seconds_left == 0


def test_a_finished_study_has_nothing_left(file: Path, out: Path) -> None:
    run(tiny.load(file, "recipe.epochs=2"), out)
    assert set(states(out)) == {"done"}
    assert status_of(out).seconds_left == 0


def test_before_the_first_pack_is_done_its_own_pace_tells(out: Path) -> None:
    shutil.rmtree(out / "runs")
    shutil.rmtree(out / "checkpoints")
    assert status_of(out).seconds_left is None
    with beating(out / "checkpoints" / "pack-0") as pulse:
        pulse.step(1, 4, is_resumed=False)
        pulse.end()
    left = status_of(out).seconds_left
    assert left is not None
    assert left > 0


def test_people_and_programs_are_told_the_same(stopped: Path) -> None:
    text = call("status", stopped)
    assert (text.code, text.err) == (0, "")
    assert "tiny: 2 done, 2 waiting; no process is at work" in text.out
    assert "best so far: r" in text.out
    assert "time left: about " in text.out
    told = json.loads(call("status", stopped, "--json").out)
    assert told["counts"]["waiting"] == 2
    assert {"study", "is_busy", "best", "seconds_left", "cuts", "runs"} <= set(told)
    assert {"id", "label", "state", "configuration", "pack", "f1"} <= set(told["runs"][0])


def test_it_imports_nothing_heavy(stopped: Path) -> None:
    code = (
        "import sys\n"
        "from lorasweep.cli.main import main\n"
        "try:\n    main()\n"
        "finally:\n    print(*sys.modules, file=sys.stderr)\n"
    )
    words = [sys.executable, "-c", code, "status", str(stopped)]
    ended = subprocess.run(words, capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "pandas", "scipy", "pyarrow"} & set(ended.stderr.split())


def empty(out: Path) -> None:
    out.mkdir()


def foreign(out: Path) -> None:
    out.mkdir()
    (out / "thesis.tex").touch()


def damaged_lock(out: Path) -> None:
    out.mkdir()
    (out / "study.lock.json").write_text("{")


def another_lock(out: Path) -> None:
    out.mkdir()
    (out / "study.lock.json").write_text('{"packages": []}')


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda out: None, "no such folder"),
        (lambda out: out.touch(), "this is a file"),
        (empty, "no study here"),
        (foreign, "no study here"),
        (damaged_lock, "study.lock.json: not readable as Lock"),
        (another_lock, "study.lock.json: not readable as Lock"),
    ],
    ids=["nothing", "a file", "empty", "foreign", "damaged lock", "another lock"],
)
def test_a_folder_without_a_study_is_refused(
    tmp_path: Path, make: Callable[[Path], Any], said: str
) -> None:
    place = tmp_path / "place"
    make(place)
    assert_refused(call("status", place), str(place), said)


def test_a_damaged_record_is_named(out: Path) -> None:
    record = next(out.glob("runs/*/record.json"))
    record.write_text(record.read_text()[:100])
    with pytest.raises(UserError, match=r"record\.json: not readable as RunRecord"):
        status_of(out)


def test_a_damaged_heartbeat_is_none(out: Path) -> None:
    (out / "checkpoints" / "pack-1" / "heartbeat.json").write_text("{")
    assert states(out)[2] == "waiting"


def test_a_study_that_is_just_starting_says_so(tmp_path: Path) -> None:
    with holding(tmp_path):
        assert_refused(call("status", tmp_path), "is just starting here")
