"""docs/scaling.md: its lorasweep lines run, in order, on a tiny study."""

import shutil
from pathlib import Path

import pytest
from clusters import LocalCluster

from calling import call

PAGE = Path(__file__).parents[3] / "docs" / "scaling.md"
BLOCKS = PAGE.read_text("utf-8").split("```")[1::2]
LINES = [line for block in BLOCKS for line in block.splitlines() if line.startswith("lorasweep ")]


def run_lines(lines: list[str]) -> None:
    assert lines
    for line in lines:
        _, *arguments = line.split()
        ended = call(*arguments)
        assert ended.code == 0, f"{line}: {ended.err}"


@pytest.fixture
def folder(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the page's study file."""
    shutil.copy(file, tmp_path / "my-study.toml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_the_lines_that_need_no_cluster() -> None:
    run_lines([line for line in LINES if "--executor" not in line])


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
def test_all_lines(cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    run_lines(LINES)
