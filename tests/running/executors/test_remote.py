"""A remote worker: packs from the checkpoints it is given, events for all that it does."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from remote_here import RemoteHere

from lorasweep import Study, run
from lorasweep.errors import UserError
from lorasweep.running.executors.local import LocalExecutor
from lorasweep.running.executors.remote import RemoteWorker, place_here
from lorasweep.running.worker.jobs import FinishedRun
from lorasweep.running.worker.worker import Worker
from stopped import files


def test_a_dead_workers_pack_goes_on_from_the_checkpoint_that_was_sent(
    study: Study, undisturbed: Path, locked: Path
) -> None:
    executor = RemoteHere(dies_after=3)
    run(study, locked, executor=executor)
    assert files(locked) == files(undisturbed)
    first, second, *others = executor.resumed_with
    assert (first, others) == ([], [[], []])
    assert second == ["step-00000003.safetensors", "step-00000002.safetensors"]


class KeepsJob(LocalExecutor):
    """Keeps what workers are asked to do, and stops there."""

    def run_packs(self, worker: Worker, *rest: Any) -> Iterator[list[FinishedRun]]:
        self.job = worker.job
        raise KeyboardInterrupt


def test_a_machine_without_the_drivers_model_is_refused(study: Study, locked: Path) -> None:
    executor = KeepsJob()
    with pytest.raises(KeyboardInterrupt):
        run(study, locked, executor=executor)
    with pytest.raises(UserError, match=r"^on .*: .*: not the files of .* that the driver has"):
        RemoteWorker(executor.job, "other files").load()
    elsewhere = replace(executor.job, folder=Path("no-such"), base="./no-such")
    with pytest.raises(UserError, match=r"^on .*no-such"):
        RemoteWorker(elsewhere, "any").load()


def test_a_place_has_memory_by_its_share_of_the_processors() -> None:
    one, two = place_here("cpu", 1), place_here("cpu", 2)
    assert 0 < one.memory_bytes <= two.memory_bytes
    assert "torch" in one.versions
