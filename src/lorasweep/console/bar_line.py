"""One line of progress that fits its terminal: what matters most is left out last."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

NARROWEST_BAR, WIDEST_BAR = 10, 30


@dataclass(frozen=True)
class BarLine:
    """A job with its bar, its share done and the time left; `extras` are shown as far as they fit.

    The line is never wrapped, so that the terminal can take it back whole.
    """

    job: str
    done: int
    total: int
    left: str
    extras: Sequence[str] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # The last column stays free: some terminals wrap when it is written.
        width = options.max_width - 1
        share = f"{100 * self.done // max(self.total, 1):3d} %"
        behind = [text for text in (share, self.left) if text]
        bar = NARROWEST_BAR
        room = width - bar - sum(cell_len(text) + 1 for text in behind) - 1
        job = self.job if cell_len(self.job) <= room else _cut(self.job, room)
        room -= cell_len(job)
        for extra in self.extras:
            if extra and cell_len(extra) + 1 <= room:
                behind.append(extra)
                room -= cell_len(extra) + 1
        bar += min(max(room, 0), WIDEST_BAR - NARROWEST_BAR)
        line = Table.grid(padding=(0, 1, 0, 0))
        line.add_row(
            Text(job, no_wrap=True),
            ProgressBar(total=max(self.total, 1), completed=self.done, width=bar),
            *(Text(text, no_wrap=True) for text in behind),
        )
        yield line


def _cut(text: str, width: int) -> str:
    """Return the beginning of a text that is too wide, with a mark."""
    return f"{set_cell_size(text, width - 3).rstrip()}..." if width > 3 else ""
