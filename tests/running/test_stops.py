"""Ctrl-C and SIGTERM in every phase: the first is heard there, and the next call ends as usual."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import tiny
from lorasweep.console.progress import Silent
from lorasweep.running import session
from lorasweep.running.driver import run
from lorasweep.running.worker import examine, loaded
from stopped import files

pytestmark = pytest.mark.usefixtures("no_reports")

SETTINGS = ("pack.checkpoint_minutes=0", "recipe.epochs=2")


class Notes(Silent):
    """Keeps what is said of stops."""

    def __init__(self) -> None:
        self.stops: list[str] = []

    def note(self, text: str) -> None:
        if text.startswith("stopping"):
            self.stops.append(text)


@pytest.fixture(scope="module")
def undisturbed(file: Path, no_reports: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    run(tiny.load(file, *SETTINGS), out)
    return out


# The base model's losses on both sets are the first two; training evaluates after each epoch.
PHASES: dict[str, tuple[ModuleType, str, int, str]] = {
    "loading": (loaded, "load_checked", 1, "stopping the model's loading"),
    "the base model's losses": (examine, "paragraph_losses", 1, "stopping the losses"),
    "the base model's losses again": (examine, "paragraph_losses", 2, "stopping the losses"),
    "the base model's answers": (examine, "decode_all", 1, "stopping the answers by greedy"),
    "evaluation in training": (examine, "paragraph_losses", 3, "stopping after this evaluation"),
    "a pack's losses": (examine, "paragraph_losses", 5, "stopping the losses"),
    "a pack's answers": (examine, "decode_all", 2, "stopping the answers by greedy"),
    "the analysis": (session, "with_analysis", 1, "stopping the analysis"),
    "the report": (session, "write_report", 1, "stopping the report"),
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize("phase", PHASES)
def test_the_first_signal_is_heard_in_every_phase(
    file: Path,
    undisturbed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    phase: str,
    number: signal.Signals,
) -> None:
    module, name, count, said = PHASES[phase]
    calls: list[str] = []

    def signalled(whole: Callable[..., Any]) -> Callable[..., Any]:
        def call(*words: Any, **options: Any) -> Any:
            calls.append("begun")
            if calls.count("begun") == count:
                os.kill(os.getpid(), number)
            ended = whole(*words, **options)
            calls.append("ended")
            return ended

        return call

    study, notes = tiny.load(file, *SETTINGS), Notes()
    with monkeypatch.context() as patch:
        patch.setattr(module, name, signalled(getattr(module, name)))
        with pytest.raises(KeyboardInterrupt):
            run(study, tmp_path, notes)
    (told,) = notes.stops
    assert told.startswith(said)
    is_kept = "after" in said
    assert (calls.count("begun"), calls.count("ended")) == (count, count if is_kept else count - 1)
    run(study, tmp_path)
    assert files(tmp_path) == files(undisturbed)
