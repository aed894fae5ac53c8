"""Write docs/commands.md from the command line's own help: `make docs`."""

from pathlib import Path

from typer import Typer
from typer.testing import CliRunner

from lorasweep.cli.main import app

# How each command is called, on the shipped study.
EXAMPLES = {
    "run": "lorasweep run quickstart --out out/quickstart",
    "decode": "lorasweep decode out/quickstart --decoder span --decoder beam-4",
    "resume": 'lorasweep resume out/my-race --run "r4 lr1e-3 attn"',
    "plan": "lorasweep plan quickstart --set 'grid.rank=[4, 8]' --set recipe.epochs=5",
    "status": "lorasweep status out/quickstart",
    "check": "lorasweep check out/quickstart",
    "analyse": "lorasweep analyse out/quickstart --clusters article",
    "failures": 'lorasweep failures out/quickstart --run best --against "r4 lr2e-3"',
    "report": "lorasweep report out/quickstart --lang fa",
    "ask": "lorasweep ask out/quickstart --context mill.txt --question 'How often did it burn?'",
    "export": "lorasweep export out/quickstart --merged --out my-model",
    "import": "lorasweep import my-adapter --study out/quickstart --name elsewhere",
    "score": "lorasweep score predictions.json data.json --json",
    "compare": "lorasweep compare mine.json theirs.json --data data.json",
    "app": "lorasweep app out/quickstart --port 8000",
    "models list": "lorasweep models list --json",
    "models pull": "lorasweep models pull smollm2-135m",
    "models path": "lorasweep models path smollm2-135m",
}
PAGE = Path(__file__).with_name("commands.md")


def page() -> str:
    """Return the page: every command's help, in the order of the command line."""
    head = (
        "# Commands\n\nWritten by `make docs` from the command line's own help. A run is named by its "
        "id, its label in any letter\ncase, the beginning of either that means one run alone, or "
        "`best`. `lorasweep --install-completion` completes\ncommands and options by Tab.\n"
    )
    return "\n".join([head, _help(()), *(_section(words) for words in _commands(app))])


def _commands(group: Typer, words: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    own = [(*words, c.name or c.callback.__name__) for c in group.registered_commands if c.callback]
    below = [
        command
        for child in group.registered_groups
        if child.typer_instance and child.name
        for command in _commands(child.typer_instance, (*words, child.name))
    ]
    return own + below


def _section(words: tuple[str, ...]) -> str:
    name = " ".join(words)
    return f"## lorasweep {name}\n\n```\n{EXAMPLES[name]}\n```\n\n{_help(words)}"


def _help(words: tuple[str, ...]) -> str:
    said = CliRunner().invoke(
        app, [*words, "--help"], prog_name="lorasweep", terminal_width=100, max_content_width=100
    )
    return f"```\n{said.output.strip()}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
