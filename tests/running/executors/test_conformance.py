"""Every executor gives the same results from the same lock."""

import json
from pathlib import Path

import pytest

import tiny
from lorasweep import Study, run
from lorasweep.folder.store import Store
from lorasweep.running.executors.executor import Executor
from lorasweep.running.executors.local import HERE
from stopped import files

ON_RAY = pytest.param("ray", marks=pytest.mark.slow)


@pytest.fixture
def executor(request: pytest.FixtureRequest) -> Executor:
    on_ray: Executor = request.getfixturevalue("on_ray") if request.param == "ray" else None
    return on_ray or HERE


@pytest.mark.parametrize("executor", ["local", ON_RAY], indirect=True)
def test_one_lock_gives_the_same_bits_wherever_packs_run(
    study: Study, undisturbed: Path, locked: Path, executor: Executor
) -> None:
    run(study, locked, executor=executor)
    assert files(locked) == files(undisturbed)


def first_losses(out: Path) -> dict[str, float]:
    histories = {f.parent.name: f.read_text() for f in out.glob("runs/*/history.jsonl")}
    return {
        run_id: json.loads(text.partition("\n")[0])["loss"] for run_id, text in histories.items()
    }


@pytest.mark.parametrize("executor", [ON_RAY], indirect=True)
def test_packs_are_sized_for_the_workers_and_losses_stay_within_rounding(
    file: Path, tmp_path: Path, executor: Executor
) -> None:
    study = tiny.load(file, "pack.lanes=auto")
    run(study, tmp_path / "alone")
    run(study, tmp_path / "spread", executor=executor)
    lanes = [
        [len(pack.runs) for pack in lock.packs]
        for name in ("alone", "spread")
        if (lock := Store(tmp_path / name).read_lock())
    ]
    assert lanes == [[4], [2, 2]]
    alone, spread = first_losses(tmp_path / "alone"), first_losses(tmp_path / "spread")
    assert spread == pytest.approx(alone, rel=1e-5)
