"""Progress for people: a bar on a terminal, plain lines elsewhere, or nothing."""

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

SECONDS_BETWEEN_LINES = 10.0


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

    @property
    def seconds(self) -> float:
        """Seconds since the job began."""
        return time.monotonic() - self.began

    def line(self, detail: str) -> str:
        """Return detail, questions per second and seconds left, as far as they are known."""
        fresh = self.done - self.skipped
        if fresh <= 0 or not self.seconds:
            return detail
        rate = fresh / self.seconds
        left = (self.total - self.done) / rate
        return f"{detail}  {rate:.2g} questions/s  {left:.0f} s left".strip()

    def summary(self) -> str:
        """Return that the job is done and how long it took."""
        return f"{self.job}: done in {self.seconds:.1f} s"


class PlainLines:
    """A line at the start and the end of a job and every ten seconds between."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.pace = Pace("", 0)
        self.spoke = time.monotonic()

    def note(self, text: str) -> None:
        """Print a line."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

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
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[detail]}"),
            console=console,
        )
        self.pace = Pace("", 0)
        self.task: TaskID | None = None

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.progress.stop()

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self.progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def start(self, job: str, total: int) -> None:
        """Show a bar."""
        self.pace = Pace(job, total)
        self.task = self.progress.add_task(job, total=total, detail="")

    def skip(self, amount: int) -> None:
        """Begin the bar where the job is taken up again."""
        self.pace.skipped += amount
        self.advance(amount, "taken up again")

    def advance(self, amount: int, detail: str = "") -> None:
        """Move the bar."""
        self.pace.done += amount
        if self.task is not None:
            self.progress.update(self.task, advance=amount, detail=self.pace.line(detail))

    def finish(self) -> None:
        """Replace the bar by a line, so that many jobs never fill the screen."""
        if self.task is not None:
            self.progress.remove_task(self.task)
            self.task = None
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
