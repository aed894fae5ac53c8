"""A finished tiny study, and what is watched while another is run."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tiny
from lorasweep import Study, run
from lorasweep.running import session
from lorasweep.running.worker.worker import Worker
from lorasweep.scoring.scorers import listed
from lorasweep.scoring.scorers.scorer import scorer_of


@pytest.fixture(scope="module", autouse=True)
def graded_by_length() -> Iterator[None]:
    """Score answers by their length: those of a random model are never right, all runs equal."""
    with pytest.MonkeyPatch.context() as patch:
        by_length = scorer_of("f1", lambda answer, example: len(answer) % 5 / 4)
        patch.setitem(listed.SCORERS, "f1", lambda rules, pattern: by_length)
        yield


@pytest.fixture(scope="module")
def study(file: Path) -> Study:
    return tiny.load(file)


@pytest.fixture(scope="module")
def finished(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished study, report included; tests only read it."""
    out = tmp_path_factory.mktemp("finished") / "out"
    run(study, out)
    return out


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    """A finished folder that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "out"))


@pytest.fixture
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make loading the base model an error."""

    def refuse(*args: Any) -> None:
        raise AssertionError("the base model is loaded, though there is nothing to compute")

    monkeypatch.setattr(session, "Worker", refuse)


@pytest.fixture
def packs_run(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """The run ids of each pack that is trained."""
    trained: list[set[str]] = []
    run_pack = Worker.run_pack

    def spy(self: Any, pack: Any, labels: Any) -> Any:
        trained.append({run.id for run in pack.runs})
        return run_pack(self, pack, labels)

    monkeypatch.setattr(Worker, "run_pack", spy)
    return trained
