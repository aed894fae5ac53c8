"""`lorasweep plan` says what is left and what it takes, from earlier runs or a calibration."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import tiny
from calling import assert_refused, call, settings
from lorasweep import run
from lorasweep.console.progress import Silent
from lorasweep.data.trees import Forest
from lorasweep.folder.records import Lock
from lorasweep.folder.store import Store
from lorasweep.forecast.remaining import Forecast, calibration_file, forecast
from lorasweep.hub import models
from lorasweep.model.machine import TooLargeError, default_device
from lorasweep.running.calibration import calibrate, sample_of
from lorasweep.running.prepare import prepare
from lorasweep.running.worker import pack_run
from lorasweep.study.plan import make_plan
from lorasweep.study.study import Study

FULL_TOO = 'grid=[{rank = [2, 4], alpha = "2r"}, {method = "full"}]'


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine's cache that is empty."""
    monkeypatch.setenv("LORASWEEP_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def finished(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "out"
    run(tiny.load(file), out)
    return out


def forecast_of(study: Study, out: Path) -> Forecast | None:
    config = models.read_config(study.model.base)
    return forecast(make_plan(study, config, default_device()), out)


def told(*words: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(call("plan", *words, "--json").out)["estimate"]
    return found


def test_without_anything_measured_there_is_no_estimate(file: Path, tmp_path: Path) -> None:
    ended = call("plan", file, "--out", tmp_path / "out")
    assert ended.code == 0
    assert "nothing was measured on this machine yet; --calibrate does that" in ended.out
    assert told(file, "--out", tmp_path / "out") is None


def test_a_finished_folder_tells_what_more_values_take(file: Path, finished: Path) -> None:
    wider = settings("grid.rank=[2, 3, 4]")
    found = told(file, "--out", finished, *wider)
    assert found["num_done"] == 4
    # What `run` will call it: the folder has two packs already.
    assert list(found["packs"]) == ["pack-2"]
    assert found["source"] == f"4 finished runs in {finished}"
    assert found["seconds"] > 0
    assert found["base_seconds"] == 0
    assert found["peak_memory_bytes"] > 1e6
    ended = call("plan", file, "--out", finished, *wider)
    assert "runs: 4 done" in ended.out
    assert f"estimated from 4 finished runs in {finished}" in ended.out


def test_nothing_is_left_of_a_finished_study(file: Path, finished: Path) -> None:
    found = forecast_of(tiny.load(file), finished)
    assert found is not None
    assert (found.num_done, found.packs, found.seconds) == (4, {}, 0.0)
    assert "time in total" not in call("plan", file, "--out", finished).out


@pytest.mark.parametrize(
    ("setting", "name"),
    [("recipe.epochs=3", "recipe.epochs: 1, now 3"), ("data.num_train=3", "data.num_train")],
)
def test_runs_of_another_recipe_or_data_are_not_done(
    file: Path, finished: Path, setting: str, name: str
) -> None:
    found = forecast_of(tiny.load(file, setting), finished)
    assert found is not None
    assert (found.num_done, list(found.packs)) == (0, ["pack-0", "pack-1"])
    assert found.base_seconds > 0
    ended = call("plan", file, "--out", finished, *settings(setting))
    assert f"warning: {finished} was made with another {name}" in ended.out


def test_runs_that_failed_or_lost_a_race_are_not_done(
    file: Path, finished: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(finished, tmp_path / "out"))
    store = Store(out)
    first, second, *_ = [run.id for pack in lock_of(store).packs for run in pack.runs]
    for run_id, state in ((first, "failed"), (second, "stopped")):
        record = store.read_run(run_id)
        assert record is not None
        store.write_run(record.model_copy(update={"state": state}))
    found = forecast_of(tiny.load(file), out)
    assert found is not None
    assert (found.num_done, found.num_failed, found.num_stopped) == (2, 1, 1)
    assert found.packs == {}
    assert "runs: 2 done, 1 failed, 1 stopped" in call("plan", file, "--out", out).out


def test_a_pack_that_was_begun_keeps_its_name(file: Path, finished: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(finished, tmp_path / "out"))
    store = Store(out)
    second = lock_of(store).packs[1]
    shutil.rmtree(store.run_folder(second.runs[0].id))
    found = forecast_of(tiny.load(file), out)
    assert found is not None
    assert (found.num_done, list(found.packs)) == (3, ["pack-1"])


def lock_of(store: Store) -> Lock:
    lock = store.read_lock()
    assert lock is not None
    return lock


def test_a_calibration_halves_a_pack_that_memory_does_not_hold(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_pack = pack_run.train_pack

    def train(base: Any, trained: Any, *others: Any) -> Any:
        if len(trained.lanes) > 1:
            raise TooLargeError("2 GB of memory are free")
        return train_pack(base, trained, *others)

    monkeypatch.setattr(pack_run, "train_pack", train)
    found = calibrate(tiny.load(file), Silent())
    assert found.methods["lora"].seconds > 0


def test_memory_that_one_run_does_not_find_is_said(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*_: Any) -> Any:
        raise TooLargeError("2 GB of memory are free")

    monkeypatch.setattr(pack_run, "train_pack", train)
    monkeypatch.setattr("lorasweep.running.locking.AUTO_MICRO_TOKENS", {"cpu": 1, "cuda": 1})
    ended = call("plan", file, "--calibrate")
    assert ended.code == 2
    assert "not enough memory for one run and one paragraph" in ended.err
    assert "Traceback" not in ended.err


def test_a_method_that_was_not_measured_is_not_guessed(file: Path, finished: Path) -> None:
    found = forecast_of(tiny.load(file, FULL_TOO), finished)
    assert found is not None
    assert None in found.packs.values()
    assert found.seconds is None
    assert "not measured" in call("plan", file, "--out", finished, *settings(FULL_TOO)).out


def train_seconds(found: Forecast) -> float:
    return sum(estimated.train_seconds for estimated in found.packs.values() if estimated)


def test_a_calibration_is_kept_for_later_plans(file: Path, cache: Path, tmp_path: Path) -> None:
    study, out = tiny.load(file, FULL_TOO), tmp_path / "out"
    ended = call("plan", file, "--calibrate", "--out", out, *settings(FULL_TOO))
    assert ended.code == 0
    assert "calibrating: 24 questions of training" in ended.err
    assert "estimated from a calibration on this machine" in ended.out
    assert not out.exists()
    assert [path.name for path in cache.rglob("*.json")] == [
        calibration_file(study, default_device()).name
    ]
    found = forecast_of(study, out)
    assert found is not None
    assert len(found.packs) == 2
    assert found.seconds is not None
    assert found.seconds > 0
    more = forecast_of(tiny.load(file, FULL_TOO, "recipe.epochs=4", "data.num_train=48"), out)
    assert more is not None
    assert more.seconds is not None
    # Four times the epochs and four times the questions; evaluations are as many as epochs.
    assert train_seconds(more) > 4 * train_seconds(found)
    assert forecast_of(tiny.load(file, FULL_TOO, "data.max_tokens=400"), out) is None


@pytest.mark.parametrize("overrides", [(), (FULL_TOO,)], ids=["one method", "two"])
def test_a_calibration_ends_when_time_is_up_with_what_was_measured(
    file: Path, cache: Path, overrides: tuple[str, ...]
) -> None:
    study = tiny.load(file, *overrides)
    heard: list[str] = []

    class Hearing(Silent):
        def note(self, text: str) -> None:
            heard.append(text)

    found = calibrate(study, Hearing(), bound=0.0)
    assert "time is up: what was measured until now is taken" in heard
    assert list(found.methods) == ["lora"]
    assert found.methods["lora"].seconds > 0
    assert found.methods["lora"].peak_memory_bytes > 0
    assert found.seconds_per_answer > 0
    assert found.start_seconds is not None
    expected = forecast_of(study, cache / "none")
    assert expected is not None
    assert (expected.seconds is None) == bool(overrides)


def test_a_cache_that_takes_nothing_loses_no_estimate(
    file: Path, cache: Path, tmp_path: Path
) -> None:
    cache.mkdir()
    (cache / "calibrations").write_text("in the way of the folder")
    ended = call("plan", file, "--calibrate", "--out", tmp_path / "out")
    assert ended.code == 0
    assert "warning: not kept for later plans: " in ended.err
    assert "time in total: about " in ended.out


def test_a_total_says_what_it_counts(file: Path, cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    costs = calibrate(tiny.load(file), Silent())
    found = forecast_of(tiny.load(file), out)
    assert found is not None
    packs = sum(each.seconds for each in found.packs.values() if each)
    assert found.seconds == pytest.approx(packs + found.base_seconds + found.call_seconds)
    assert costs.start_seconds is not None
    assert found.call_seconds > costs.start_seconds
    said = call("plan", file, "--out", out).out
    assert "the total counts the base model (" in said
    assert "start, check, analysis and report (" in said


def test_a_calibration_writes_nothing_of_a_study_that_cannot_run(file: Path, cache: Path) -> None:
    ended = call("plan", file, "--calibrate", *settings("data.train=nothing.json"))
    assert_refused(ended, "no file nothing.json")
    assert not cache.exists()


def test_a_damaged_calibration_says_how_to_renew_it(file: Path, tmp_path: Path) -> None:
    study = tiny.load(file)
    calibrate(study, Silent())
    calibration_file(study, default_device()).write_text("{")
    assert_refused(call("plan", file, "--out", tmp_path / "out"), "damaged; `lorasweep plan STUDY")


def test_a_calibration_sees_the_longest_tree_which_decides_the_peak_of_memory(file: Path) -> None:
    trees = prepare(tiny.load(file)).sets["train"].forest.trees
    assert len(trees) > 2
    for place in range(len(trees)):
        turned = (*trees[place:], *trees[:place])
        sampled = sample_of(Forest(turned), 2)
        assert max(trees, key=lambda tree: tree.num_tokens) in sampled.trees
        assert sampled.num_questions < sum(len(tree.branches) for tree in trees)
