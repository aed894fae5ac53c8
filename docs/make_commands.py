"""Write docs/commands.md from the command line's own help: `make docs`."""

from pathlib import Path

from typer import Typer
from typer.testing import CliRunner

from lorasweep.cli.main import app

PAGE = Path(__file__).with_name("commands.md")


def page() -> str:
    """Return the page: every command's help, in the order of the command line."""
    head = "# Commands\n\nWritten by `make docs` from the command line's own help.\n"
    return "\n".join([head, *(_section(words) for words in _commands(app))])


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
    help_ = CliRunner().invoke(
        app, [*words, "--help"], prog_name="lorasweep", terminal_width=100, max_content_width=100
    )
    return f"## lorasweep {' '.join(words)}\n\n```\n{help_.output.strip()}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
