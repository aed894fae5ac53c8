"""Run docs/quickstart.ipynb and store it with what it shows: python docs/make_notebook.py.

It takes the base model on this machine, and minutes.
"""

import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent / "quickstart.ipynb"


def executed(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return the notebook as it is after a run in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=3600, startup_timeout=600, kernel_name="python3",
                       resources=resources).execute()  # fmt: skip
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when each cell ran tells nothing
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _is_widget(output)]
    return notebook


def _is_widget(output: nbformat.NotebookNode) -> bool:
    """Say whether an output was a part of a kernel that is gone."""
    return "application/vnd.jupyter.widget-view+json" in output.get("data", {})


if __name__ == "__main__":
    found = executed(nbformat.read(NOTEBOOK, as_version=4))
    found.metadata = {"kernelspec": found.metadata["kernelspec"], "language_info": {"name": "python"}}
    nbformat.write(found, NOTEBOOK)
