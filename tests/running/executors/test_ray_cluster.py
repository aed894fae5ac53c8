"""Studies on a Ray cluster whose nodes and workers die, and which is stopped."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clusters import LocalCluster

import tiny
from lorasweep import Study, run
from lorasweep.console.progress import Silent
from lorasweep.running.executors.executor import Executor
from stopped import files

pytestmark = pytest.mark.slow


class OnceBothTrain(Silent):
    """Calls something once when two packs under way have checkpoints here; keeps all notes."""

    def __init__(self, folder: Path, action: Callable[[], None]) -> None:
        self.checkpoints = folder / "checkpoints"
        self.action, self.notes, self.is_done = action, list[str](), False

    def note(self, text: str) -> None:
        self.notes.append(text)

    def advance(self, amount: int, detail: str = "") -> None:
        packs = re.findall(r"(pack-\d) [1-9]\d* %", detail)
        saved = [pack for pack in packs if any((self.checkpoints / pack).glob("step-*"))]
        if not self.is_done and len(saved) == 2:
            self.is_done = True
            self.action()


@pytest.fixture(scope="module")
def study(study: Study) -> Study:
    """The study with packs of some seconds: two are under way at once if one worker is late."""
    longer = study.recipe.model_copy(update={"epochs": 24})
    return study.model_copy(update={"recipe": longer})


@pytest.fixture
def second_node(cluster: LocalCluster) -> Iterator[LocalCluster]:
    """The cluster, whose second node is put back after the test."""
    yield cluster
    cluster.add_node()


def assert_went_on(watch: OnceBothTrain) -> None:
    assert watch.is_done
    assert any(re.search(r"died at pack-\d, .* from step [1-9]", note) for note in watch.notes)


def test_a_node_killed_in_the_middle_changes_no_bit(
    second_node: LocalCluster, on_ray: Executor, study: Study, undisturbed: Path, locked: Path
) -> None:
    watch = OnceBothTrain(locked, second_node.lose_node)
    run(study, locked, watch, executor=on_ray)
    assert_went_on(watch)
    assert files(locked) == files(undisturbed)


def test_a_worker_killed_in_the_middle_changes_no_bit(
    cluster: LocalCluster, on_ray: Executor, study: Study, undisturbed: Path, locked: Path
) -> None:
    watch = OnceBothTrain(locked, lambda: os.kill(cluster.worker_processes()[0], signal.SIGKILL))
    run(study, locked, watch, executor=on_ray)
    assert_went_on(watch)
    assert files(locked) == files(undisturbed)


def test_a_study_stopped_on_the_cluster_goes_on_in_this_process(
    on_ray: Executor, cluster: LocalCluster, study: Study, undisturbed: Path, locked: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        # The base model's answers are told of first, in five or so parts.
        run(study, locked, tiny.StopAfter(12), executor=on_ray)
    assert list(locked.glob("checkpoints/pack-*/step-*.safetensors"))
    cluster.wait_until_no_worker_is_left()
    run(study, locked)
    assert files(locked) == files(undisturbed)
