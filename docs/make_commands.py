"""Write docs/commands.md from the command line's own help: `make docs`."""

from pathlib import Path

import click
import typer

from lorasweep.cli import app

PAGE = Path(__file__).with_name("commands.md")


def page() -> str:
    """Return the page: every command's help, in the order of the command line."""
    root = typer.main.get_command(app)
    parts = ["# Commands\n\nWritten by `make docs` from the command line's own help.\n"]
    return "\n".join(parts + [_section(names, command) for names, command in _leaves(root, ())])


def _leaves(
    command: click.Command, names: tuple[str, ...]
) -> list[tuple[tuple[str, ...], click.Command]]:
    children = getattr(command, "commands", None)
    if not children:
        return [(names, command)]
    return [leaf for name, child in children.items() for leaf in _leaves(child, (*names, name))]


def _section(names: tuple[str, ...], command: click.Command) -> str:
    title = " ".join(("lorasweep", *names))
    context = click.Context(command, info_name=title, max_content_width=100, terminal_width=100)
    return f"## {title}\n\n```\n{command.get_help(context).rstrip()}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
