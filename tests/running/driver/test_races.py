"""Raced studies: hopeless runs are stopped, the others are as without a race, all can go on."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from folders import results_of

import tiny
from calling import assert_refused, call
from lorasweep import run
from lorasweep.errors import UserError
from lorasweep.folder.records import Results, RunRecord
from lorasweep.folder.store import Store
from lorasweep.running import session
from lorasweep.running.driver import resume

HOPELESS, GOOD = 1e-6, 0.3  # a random model learns at such rates
GRID = ("grid.rank=[2]", f"grid.lr=[{GOOD}, {HOPELESS}]", "data.num_eval=60", "recipe.epochs=2")
RACE = "race.rungs=[0.5]"
TIMES = {"train_seconds", "peak_memory_bytes", "pack", "stop"}

pytestmark = pytest.mark.usefixtures("no_report")


@pytest.fixture(scope="module")
def alone(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of two packs of a lane each, not raced."""
    out = tmp_path_factory.mktemp("alone") / "out"
    run(tiny.load(file, *GRID, "pack.lanes=1"), out)
    return out


@pytest.fixture(scope="module")
def race(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same study, raced: the second pack meets the first one's run."""
    out = tmp_path_factory.mktemp("race") / "out"
    run(tiny.load(file, *GRID, "pack.lanes=1", RACE), out)
    return out


@pytest.fixture
def raced(race: Path, tmp_path: Path) -> Path:
    """A copy of its folder that a test may change."""
    return Path(shutil.copytree(race, tmp_path / "out"))


def by_lr(results: Results) -> dict[float, RunRecord]:
    return {run.configuration.lr: run for run in results.runs}


def left_by(out: Path, run_id: str) -> dict[str, Any]:
    """Return the files of a run without times, pack and race."""
    folder = out / "runs" / run_id
    files = [f for f in sorted(folder.rglob("*")) if f.is_file() and f.name != "rungs.jsonl"]
    found: dict[str, Any] = {str(f.relative_to(folder)): f.read_bytes() for f in files}
    record = json.loads(found["record.json"])
    record["metrics"].get("greedy", {}).pop("seconds_per_question", None)
    record["files"].pop("rungs.jsonl", None)
    found["record.json"] = {key: value for key, value in record.items() if key not in TIMES}
    return found


def test_a_hopeless_run_is_stopped_by_the_leader_of_an_earlier_pack(raced: Path) -> None:
    results = results_of(raced)
    good, hopeless = (by_lr(results)[lr] for lr in (GOOD, HOPELESS))
    assert (good.state, good.stop) == ("done", None)
    assert hopeless.state == "stopped"
    assert hopeless.metrics == {}
    stop = hopeless.stop
    assert stop is not None
    assert (stop.leader, stop.leader_label) == (good.id, good.label)
    assert stop.step == stop.num_steps / 2 == hopeless.num_steps / 2
    assert stop.adjusted_p_value <= 0.05 < 1 < stop.num_paragraphs
    assert results.chosen == good.id
    assert results.race is not None
    store = Store(raced)
    assert len(store.of_run(hopeless.id).read_history()) < len(store.of_run(good.id).read_history())
    (rung,) = store.of_run(hopeless.id).read_rungs()
    assert sum(rung.losses) / sum(rung.num_answer_tokens) == pytest.approx(stop.eval_loss)


def test_a_resumed_run_has_the_bits_of_one_that_was_not_raced(raced: Path, alone: Path) -> None:
    hopeless = by_lr(results_of(raced))[HOPELESS]
    found = by_lr(resume(raced, [hopeless.id]))
    assert {run.state for run in found.values()} == {"done"}
    assert found[HOPELESS].stop == hopeless.stop
    for each in found.values():
        assert left_by(raced, each.id) == left_by(alone, each.id)
    assert not (raced / "checkpoints").exists()


def test_a_call_to_resume_that_was_interrupted_goes_on(
    raced: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a run's record and the results: the run is done, and the rest is made."""
    hopeless = by_lr(results_of(raced))[HOPELESS].id

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(session.Session, "_summarise", killed)
        with pytest.raises(KeyboardInterrupt):
            resume(raced, [hopeless])
    assert by_lr(results_of(raced))[HOPELESS].state == "stopped"
    results = resume(raced, [hopeless])
    assert {run.state for run in results.runs} == {"done"}
    assert results.analysis is not None


def test_a_pack_goes_on_without_the_lane_that_lost(
    file: Path, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes: list[int] = []
    watched = tiny.load(file, *GRID, "pack.lanes=2", RACE)
    _spy_on_steps(monkeypatch, lanes.append)
    found = by_lr(run(watched, tmp_path))
    assert lanes == [2, 2, 1, 1]
    assert found[HOPELESS].state == "stopped"
    # Each step's time is shared by the lanes that took it.
    assert found[HOPELESS].train_seconds < found[GOOD].train_seconds
    total = found[HOPELESS].train_seconds + found[GOOD].train_seconds
    assert total == pytest.approx(found[GOOD].pack.seconds)
    expected = by_lr(results_of(alone))[GOOD]
    assert found[GOOD].metrics["eval_loss"] == pytest.approx(expected.metrics["eval_loss"])


def _spy_on_steps(monkeypatch: pytest.MonkeyPatch, hear: Callable[[int], None]) -> None:
    from lorasweep.training.train import _Training

    step = _Training._step

    def spy(self: Any, *args: Any) -> None:
        hear(len(self.adapters.lanes))
        step(self, *args)

    monkeypatch.setattr(_Training, "_step", spy)


def test_a_second_run_leaves_a_stopped_run_as_it_is(raced: Path, file: Path) -> None:
    before = results_of(raced)
    again = run(tiny.load(file, *GRID, "pack.lanes=1", RACE), raced)
    assert tiny.outcomes(again) == tiny.outcomes(before)


def test_a_full_fine_tuning_that_loses_can_go_on(file: Path, tmp_path: Path) -> None:
    grid = f'grid=[{{rank = 2, alpha = "2r", lr = {GOOD}}}, {{method = "full", lr = 1e-9}}]'
    lora, full = run(tiny.load(file, *GRID[2:], grid, RACE), tmp_path).runs
    assert (lora.state, full.state) == ("done", "stopped")
    assert not (tmp_path / "runs" / full.id / "model").exists()
    resumed = resume(tmp_path, [full.id]).runs[1]
    assert resumed.state == "done"
    assert (tmp_path / "runs" / full.id / "model").is_dir()


def test_what_cannot_be_resumed_is_refused(raced: Path) -> None:
    good, hopeless = (by_lr(results_of(raced))[lr].id for lr in (GOOD, HOPELESS))
    assert_refused(call("resume", raced, "--run", good), "it is done")
    assert_refused(call("resume", raced, "--run", f"{hopeless}x"), hopeless, "did you mean")
    for file in (raced / "checkpoints").rglob("*.safetensors"):
        file.unlink()
    with pytest.raises(UserError, match="cannot be resumed"):
        resume(raced, [hopeless])


def test_people_are_told(raced: Path) -> None:
    hopeless = by_lr(results_of(raced))[HOPELESS]
    told = call("analyse", raced)
    assert told.code == 0
    assert f"{hopeless.label} was stopped at step" in told.out
    assert f"lorasweep resume {raced} --run {hopeless.id}" in told.out
    page = (raced / "report" / "index.html").read_text()
    assert f"lorasweep resume out --run {hopeless.id}" in page
    assert (raced / "report" / "tables" / "race.csv").is_file()
    ended = call("resume", raced, "--run", hopeless.id)
    assert ended.code == 0, ended.err
    assert "to go on: lorasweep resume" not in ended.out
