"""The docs say what the program does."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_of_commands_is_current() -> None:
    made = runpy.run_path(str(DOCS / "make_commands.py"))
    assert (DOCS / "commands.md").read_text("utf-8") == made["page"](), "run `make docs`"


def test_the_tree_in_the_readme_is_current() -> None:
    made = runpy.run_path(str(DOCS / "make_tree.py"))
    assert (DOCS.parent / "README.md").read_text("utf-8") == made["page"](), "run `make docs`"
