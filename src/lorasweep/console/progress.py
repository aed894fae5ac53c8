"""Progress for people: a bar on a terminal, plain lines elsewhere, or nothing."""

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, RenderableType
from rich.live import Live

from lorasweep.console.bar_line import BarLine
from lorasweep.console.printing import print_lines

SECONDS_BETWEEN_LINES = 10.0
LONG_SECONDS = 100


def duration(seconds: float) -> str:
    """Return a number of seconds as people say it: "45 s", "12 min", "3 h 20 min"."""
    if seconds < LONG_SECONDS:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


class Reporter(Protocol):
    """Who hears of progress: notes, and one job after another of a known number of questions."""

    def note(self, text: str) -> None:
        """Say one thing."""
        ...

    def start(self, job: str, total: int) -> None:
        """Begin a job of `total` questions."""
        ...

    def skip(self, amount: int) -> None:
        """Tell that a part of the job was done in an earlier call."""
        ...

    def advance(self, amount: int, detail: str = "") -> None:
        """Tell that the job has advanced, and how it stands."""
        ...

    def finish(self) -> None:
        """End the job."""
        ...


class Silent:
    """Says nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def start(self, job: str, total: int) -> None:
        """Say nothing."""

    def skip(self, amount: int) -> None:
        """Say nothing."""

    def advance(self, amount: int, detail: str = "") -> None:
        """Say nothing."""

    def finish(self) -> None:
        """Say nothing."""


class Pace:
    """How far a job is and how fast it goes; what an earlier call did tells nothing of speed."""

    def __init__(self, job: str, total: int) -> None:
        self.job, self.total = job, total
        self.done = self.skipped = 0
        self.began = time.monotonic()
        self.ended: float | None = None

    def stop(self) -> None:
        """End the job: no more seconds are counted."""
        self.ended = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the job began, until it ended."""
        return (time.monotonic() if self.ended is None else self.ended) - self.began

    @property
    def rate(self) -> float | None:
        """Questions per second in this call; None where that is not known yet."""
        fresh = self.done - self.skipped
        return fresh / self.seconds if fresh > 0 and self.seconds else None

    def speed(self) -> str:
        """Return questions per second, as far as they are known."""
        return "" if self.rate is None else f"{self.rate:.2g} questions/s"

    def left(self) -> str:
        """Return the time left, as far as it is known."""
        return "" if self.rate is None else f"{duration((self.total - self.done) / self.rate)} left"

    def line(self, detail: str) -> str:
        """Return detail, questions per second and time left, as far as they are known."""
        return "  ".join(text for text in (detail, self.speed(), self.left()) if text)

    def summary(self) -> str:
        """Return that the job is done and how long it took."""
        took = f"{self.seconds:.1f} s" if self.seconds < LONG_SECONDS else duration(self.seconds)
        return f"{self.job}: done in {took}"


class PlainLines:
    """A line at the start and the end of a job and every ten seconds between."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.pace = Pace("", 0)
        self.spoke = time.monotonic()

    def note(self, text: str) -> None:
        """Print a line."""
        print_lines(self.console, [text])

    def start(self, job: str, total: int) -> None:
        """Print that a job begins."""
        self.pace = Pace(job, total)
        self.spoke = time.monotonic()
        self.note(f"{job}: 0/{total}")

    def skip(self, amount: int) -> None:
        """Print where the job is taken up again."""
        self.pace.done += amount
        self.pace.skipped += amount
        self.note(f"{self.pace.job}: goes on at {self.pace.done}/{self.pace.total}")

    def advance(self, amount: int, detail: str = "") -> None:
        """Print how the job stands, if the last line is ten seconds old."""
        self.pace.done += amount
        now, pace = time.monotonic(), self.pace
        if now - self.spoke >= SECONDS_BETWEEN_LINES and pace.done < pace.total:
            self.note(f"{pace.job}: {pace.done}/{pace.total}  {pace.line(detail)}".rstrip())
            self.spoke = now

    def finish(self) -> None:
        """Print that the job is over and how long it took."""
        self.note(self.pace.summary())


class Bars(AbstractContextManager["Bars"]):
    """A bar for the present job on a terminal, and a line for each that is done."""

    def __init__(self, console: Console) -> None:
        self.pace = Pace("", 0)
        self.detail = ""
        self.is_shown = False
        # Transient: a bar that is interrupted would stay behind as if it went on.
        self.live = Live(console=console, transient=True, get_renderable=self._line)

    def __enter__(self) -> Self:
        self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.live.stop()

    def _line(self) -> RenderableType:
        pace = self.pace
        if not self.is_shown:
            return ""
        counted = f"{pace.done:,}/{pace.total:,}"
        return BarLine(
            pace.job, pace.done, pace.total, pace.left(), (self.detail, counted, pace.speed())
        )

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        print_lines(self.live.console, [text])

    def start(self, job: str, total: int) -> None:
        """Show a bar."""
        self.pace, self.detail, self.is_shown = Pace(job, total), "", True

    def skip(self, amount: int) -> None:
        """Begin the bar where the job is taken up again."""
        self.pace.skipped += amount
        self.advance(amount, "taken up again")

    def advance(self, amount: int, detail: str = "") -> None:
        """Move the bar."""
        self.pace.done += amount
        self.detail = detail

    def finish(self) -> None:
        """Replace the bar by a line, so that many jobs never fill the screen."""
        self.is_shown = False
        self.note(self.pace.summary())


@contextmanager
def notebook_reporter() -> Iterator[Reporter]:
    """Give the reporter of a call from Python: nothing is said outside of a notebook.

    There it shows bars, or plain lines where ipywidgets, which rich needs for bars, is missing.
    """
    console = Console()
    if not console.is_jupyter:
        yield Silent()
    elif find_spec("ipywidgets"):
        with Bars(console) as bars:
            yield bars
    else:
        yield PlainLines(Console(force_jupyter=False))


def labels_line(labels: Sequence[str]) -> str:
    """Return the labels of a pack's runs in one short line."""
    shown = ", ".join(labels[:4])
    return shown if len(labels) <= 4 else f"{shown} and {len(labels) - 4} more"
