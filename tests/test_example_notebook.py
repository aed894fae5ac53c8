"""The example notebook runs as it stands, on the real model: minutes."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from lorasweep.errors import UserError
from lorasweep.hub.models import locate

NOTEBOOK = Path(__file__).parents[1] / "docs" / "quickstart.ipynb"
TABLE = "text/html"


@pytest.fixture
def model() -> None:
    """The base model on this machine."""
    try:
        locate("smollm2-135m")
    except UserError as error:
        pytest.skip(str(error))


def test_the_notebook_is_kept_with_what_it_shows() -> None:
    """`python docs/make_notebook.py` runs it; nothing of the machine that did so is in it."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs for cell in cells)
    kinds = {kind for cell in cells for output in cell.outputs for kind in output.get("data", ())}
    assert {"text/html", "image/svg+xml"} <= kinds
    text = NOTEBOOK.read_text("utf-8")
    assert not [place for place in ("/tmp/", "/root/", "/home/", "cdn.") if place in text]


@pytest.mark.slow
@pytest.mark.usefixtures("model")
def test_the_notebook_runs(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=3600, startup_timeout=600, kernel_name="python3",
                   resources=resources).execute()  # fmt: skip
    trained, board, chart, *others = [
        [output.data for output in cell.outputs if "data" in output]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
    assert any("done in" in data.get("text/plain", "") for data in trained), "progress is shown"
    assert "Scores of all runs" in trained[-1][TABLE]
    assert "f1_interval_low" in board[-1][TABLE]
    assert "F1" in chart[-1]["image/svg+xml"]
    assert all(TABLE in outputs[-1] for outputs in others)
