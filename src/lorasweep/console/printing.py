"""The terminal, or what stands in for it: where tables and lines for people go."""

import sys
from collections.abc import Iterable

from rich.console import Console


def wide_console() -> Console:
    """Return the terminal; a pipe has no width, and tables must not be cut there."""
    console = Console()
    return console if console.is_terminal else Console(width=160)


def print_lines(console: Console, lines: Iterable[str]) -> None:
    """Print lines as they are: neither marked up, nor coloured, nor wrapped."""
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def print_note(line: str) -> None:
    """Print a line for people where it is not in the way of results."""
    print(line, file=sys.stderr)
