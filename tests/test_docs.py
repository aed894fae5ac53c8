"""The docs say what the program does, and the project's files agree with each other."""

import re
import runpy
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from calling import call
from lorasweep.cli.main import app
from lorasweep.folder.records import Results
from test_layers import ROOMS

DOCS = Path(__file__).parents[1] / "docs"
ROOT = DOCS.parent


def version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"])


def recipe_of(target: str) -> list[str]:
    """Return the commands of a target of the Makefile, as they are run."""
    lines = (ROOT / "Makefile").read_text("utf-8").partition(f"\n{target}:")[2].splitlines()[1:]
    commands = lines[: next((n for n, line in enumerate(lines) if not line.startswith("\t")), None)]
    return [command.strip().replace("$(BIN)", ".venv/bin") for command in commands]


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


def test_before_a_commit_the_commands_of_style_run() -> None:
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert repo["repo"] == "local"
    assert [hook["entry"] for hook in repo["hooks"]] == recipe_of("style") != []
    assert all(
        (hook["language"], hook["types"], hook["pass_filenames"]) == ("system", ["python"], False)
        for hook in repo["hooks"]
    )


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert str(citation["version"]) == version()
    assert citation["license"] == "Apache-2.0"


def test_the_changelog_has_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert version() in re.findall(r"^## ([\d.]+)", text, re.MULTILINE)


def test_the_readmes_own_study_can_be_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = re.findall(
        r"```(?:toml)?\n(.*?)```", (DOCS.parent / "README.md").read_text("utf-8"), re.S
    )
    rows = next(block for block in blocks if '"context"' in block)
    study = next(block for block in blocks if block.startswith("name = "))
    (tmp_path / "own.jsonl").write_text(rows, "utf-8")
    (tmp_path / "my-study.toml").write_text(study, "utf-8")
    monkeypatch.chdir(tmp_path)
    ended = call("plan", "my-study.toml")
    assert (ended.code, ended.err) == (0, "")
    assert "4 configurations, 4 runs, 1 packs" in " ".join(ended.out.split())
