"""The terminal, or what stands in for it: where tables and lines for people go."""

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from lorasweep.console.plain_text import visible


class PlainConsole(Console):
    """A terminal that takes texts as they are: no markup in them, no emoji, nothing that acts."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, emoji=False, **settings)

    def render_str(self, text: str, **settings: Any) -> Text:
        """Return a text as it will be seen, so that tables leave room for it."""
        return super().render_str(visible(text), **settings)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield what is written, with escapes in place of characters that act."""
        for segment in super().render(renderable, options):
            is_text = not segment.control
            yield segment._replace(text=visible(segment.text)) if is_text else segment


def wide_console() -> Console:
    """Return the terminal; a pipe has no width, and tables must not be cut there."""
    console = PlainConsole()
    return console if console.is_terminal else PlainConsole(width=160)


def print_lines(console: Console, lines: Iterable[str]) -> None:
    """Print lines as they are: neither marked up, nor coloured, nor wrapped."""
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def print_note(line: str) -> None:
    """Print a line for people where it is not in the way of results."""
    print(line, file=sys.stderr)
