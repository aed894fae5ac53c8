"""A study that is stopped or killed at any moment ends as one that was not."""

import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from glob import glob
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch

import tiny
from lorasweep.cli.main import main
from lorasweep.console.progress import Silent
from lorasweep.console.stopping import stop_switch
from lorasweep.errors import UserError
from lorasweep.folder.holding import holding
from lorasweep.folder.store import Store
from lorasweep.running.driver import run
from stopped import files

pytestmark = pytest.mark.usefixtures("no_reports")

PLAIN = ("pack.checkpoint_minutes=0", "grid.dropout=0.1", "recipe.epochs=2")
# A lane in the first pack is stopped in a race, and the runs of the second meet the first's.
RACED = (
    *PLAIN,
    "race.rungs=[0.5]",
    "grid.lr=[0.3, 1e-6]",
    "grid.dropout=0.0",
    "data.num_eval=60",
    "evaluate.max_new_tokens=1",
)


@pytest.fixture(scope="module", params=[PLAIN, RACED], ids=["plain", "raced"])
def settings(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """What is set in the study: a checkpoint after each step, in a race or not."""
    return tuple(request.param)


@pytest.fixture(scope="module")
def undisturbed(
    file: Path,
    settings: tuple[str, ...],
    no_reports: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    run(tiny.load(file, *settings), out)
    return out


class Notes(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


@pytest.mark.parametrize("moments", [(2,), (3, 2), (4,), (6, 3, 1, 1)])
def test_a_study_stopped_between_steps_ends_with_the_same_bits(
    file: Path,
    settings: tuple[str, ...],
    undisturbed: Path,
    tmp_path: Path,
    moments: tuple[int, ...],
) -> None:
    study = tiny.load(file, *settings)
    for moment in moments:
        with pytest.raises(KeyboardInterrupt):
            run(study, tmp_path, tiny.StopAfter(moment))
    run(study, tmp_path)
    assert files(tmp_path) == files(undisturbed)


def test_checkpoints_are_left_of_stopped_runs_alone(
    undisturbed: Path, settings: tuple[str, ...]
) -> None:
    store = Store(undisturbed)
    stopped = {f"run-{run.id}" for run in store.read_results().runs if run.state == "stopped"}
    assert bool(stopped) == (settings == RACED)
    folder = store.checkpoints_folder
    assert {f.name for f in folder.iterdir()} == stopped if stopped else not folder.exists()


def test_a_folder_that_becomes_read_only_costs_checkpoints_and_nothing_else(
    file: Path, settings: tuple[str, ...], undisturbed: Path, tmp_path: Path
) -> None:
    """A file in the place of the checkpoints' folder is refused to root too, unlike a mode."""
    told, study = Notes(), tiny.load(file, *settings)
    (tmp_path / "checkpoints").touch()
    if settings == RACED:
        # A run is not stopped where it could not go on.
        with pytest.raises(UserError, match="a stopped run cannot be kept here"):
            run(study, tmp_path, told)
    else:
        run(study, tmp_path, told)
    assert any("no checkpoint written, training goes on" in text for text in told.texts)
    (tmp_path / "checkpoints").unlink()
    run(study, tmp_path)
    assert files(tmp_path) == files(undisturbed)


def test_a_second_process_is_refused(
    undisturbed: Path, file: Path, settings: tuple[str, ...]
) -> None:
    with holding(undisturbed), pytest.raises(UserError, match="another lorasweep"):
        run(tiny.load(file, *settings), undisturbed)


def test_the_second_signal_stops_at_once() -> None:
    said: list[str] = []
    # Ignored, not raised, where a shell has started the tests in the background.
    before = signal.getsignal(signal.SIGINT)
    with stop_switch(said.append) as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested
        assert "once more" in said[0]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Makes real processes, from one that has imported what a study needs: that takes seconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lorasweep.cli.main", "lorasweep.running.driver"])
    return context


def lorasweep(words: Sequence[str], threads: int) -> None:
    """Be the command line, with this process's number of threads."""
    torch.set_num_threads(threads)
    sys.argv = ["lorasweep", *words]
    main()


def command(file: Path, out: Path, settings: tuple[str, ...]) -> list[str]:
    changes = [part for change in settings for part in ("--set", change)]
    return ["run", str(file), "--quiet", "--out", str(out), *changes]


def landmarks(out: Path) -> set[str]:
    """The files that tell how far a study has come."""
    # Path.glob fails where a folder goes meanwhile.
    return {*glob(f"{out}/checkpoints/*/step-*"), *glob(f"{out}/runs/*/record.json")}


def killed(process: BaseProcess, out: Path, count: int, delay: float) -> bool:
    """Start a real process and kill it with SIGKILL some time after it has come so much further.

    Returns False if it was done before. However slow the machine is, each attempt gets somewhere.
    """
    before, since = landmarks(out), set[str]()
    process.start()
    while process.is_alive() and len(since) < count:
        since |= landmarks(out) - before
        time.sleep(0.005)
    process.join(timeout=delay)
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


@pytest.mark.slow
def test_twenty_kills_leave_the_same_bits(
    file: Path,
    settings: tuple[str, ...],
    undisturbed: Path,
    processes: ForkServerContext,
    tmp_path: Path,
) -> None:
    moments, kills = random.Random(0), 0
    for folder in range(100):
        out = tmp_path / str(folder)
        # A run that ends before its moment is compared; the next folder goes on with the kills.
        words = command(file, out, settings)
        while killed(
            processes.Process(target=lorasweep, args=(words, torch.get_num_threads())),
            out,
            moments.randint(1, 4),
            moments.uniform(0, 0.5),
        ):
            kills += 1
        assert files(out) == files(undisturbed)
        if kills >= 20:
            break
    assert kills >= 20
