"""An output folder of invented records, and the report made from it."""

from pathlib import Path

import pytest
from invented import write_outcome

from lorasweep.report.page import write_report


@pytest.fixture(scope="session")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder with its report; tests only read it."""
    folder = tmp_path_factory.mktemp("study")
    write_outcome(folder)
    write_report(folder)
    return folder


@pytest.fixture(scope="session")
def page(out: Path) -> str:
    """The text of the page."""
    return (out / "report" / "index.html").read_text(encoding="utf-8")
