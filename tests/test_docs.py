"""The docs say what the program does."""

import re
import runpy
import shlex
from pathlib import Path

from typer.testing import CliRunner

from lorasweep.cli.main import app
from lorasweep.folder.records import Results
from test_layers import ROOMS

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_of_commands_is_current() -> None:
    made = runpy.run_path(str(DOCS / "make_commands.py"))
    assert (DOCS / "commands.md").read_text("utf-8") == made["page"](), "run `make docs`"


def test_every_command_has_an_example_of_what_it_takes() -> None:
    made = runpy.run_path(str(DOCS / "make_commands.py"))
    commands = {" ".join(words): words for words in made["_commands"](app)}
    assert made["EXAMPLES"].keys() == commands.keys()
    for name, example in made["EXAMPLES"].items():
        said = CliRunner().invoke(app, [*commands[name], "--help"]).output
        assert example.startswith(f"lorasweep {name}")
        options = [word for word in shlex.split(example) if word.startswith("--")]
        assert all(f"{option} " in said for option in options), name


def test_the_rooms_in_readme_and_design_are_current() -> None:
    made = runpy.run_path(str(DOCS / "make_tree.py"))
    for page, text in made["pages"]().items():
        assert page.read_text("utf-8") == text, "run `make docs`"
    assert made["ROOMS"] == ("errors.py", *ROOMS[1:])


def test_the_example_is_whole_and_quotes_no_question() -> None:
    example = DOCS / "example"
    results = Results.model_validate_json((example / "results.json").read_text("utf-8"))
    report = (example / "report.md").read_text("utf-8")
    pictures = re.findall(r"\]\((figures/[\w.]+)\)", report)
    assert len(pictures) == len(list((example / "figures").iterdir())) > 0
    assert all((example / picture).is_file() for picture in pictures)
    assert len(results.runs) == 50
    assert "Runs done: 50 of 75" in report
    assert results.analysis is not None
    found = results.analysis.decoders["greedy"].failures
    assert found is not None
    assert found.examples == []
    assert report.count("this example leaves it out") == 2
