"""Progress for people: bars on a terminal, plain lines elsewhere, or nothing."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

SECONDS_BETWEEN_LINES = 10.0


class Reporter(Protocol):
    """Who hears of progress: notes and warnings, and jobs of a known number of steps."""

    def note(self, text: str) -> None:
        """Say one thing."""
        ...

    def start(self, job: str, total: int) -> None:
        """Begin a job of `total` steps; the job before it is over."""
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

    def advance(self, amount: int, detail: str = "") -> None:
        """Say nothing."""

    def finish(self) -> None:
        """Say nothing."""


class PlainLines:
    """A line at the start and the end of a job and every ten seconds between."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.job, self.total, self.done = "", 0, 0
        self.began = self.spoke = time.monotonic()

    def note(self, text: str) -> None:
        """Print a line."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def start(self, job: str, total: int) -> None:
        """Print that a job begins."""
        self.job, self.total, self.done = job, total, 0
        self.began = self.spoke = time.monotonic()
        self.note(f"{job}: 0/{total}")

    def advance(self, amount: int, detail: str = "") -> None:
        """Print how the job stands, if the last line is ten seconds old."""
        self.done += amount
        now = time.monotonic()
        if now - self.spoke >= SECONDS_BETWEEN_LINES and 0 < self.done < self.total:
            left = (now - self.began) / self.done * (self.total - self.done)
            self.note(f"{self.job}: {self.done}/{self.total}  {detail}  {left:.0f} s left")
            self.spoke = now

    def finish(self) -> None:
        """Print that the job is over and how long it took."""
        self.note(f"{self.job}: done in {time.monotonic() - self.began:.1f} s")


class Bars(AbstractContextManager["Bars"]):
    """A bar per job on a terminal, with what the job says of itself and the time left."""

    def __init__(self, console: Console) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[detail]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
        )
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
        """Print a line above the bars."""
        self.progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def start(self, job: str, total: int) -> None:
        """Add a bar."""
        self.task = self.progress.add_task(job, total=total, detail="")

    def advance(self, amount: int, detail: str = "") -> None:
        """Move the bar."""
        if self.task is not None:
            self.progress.update(self.task, advance=amount, detail=detail)

    def finish(self) -> None:
        """Leave the bar as it is."""
        self.task = None


def labels_line(labels: Sequence[str]) -> str:
    """Return the labels of a pack's runs in one short line."""
    shown = ", ".join(labels[:4])
    return shown if len(labels) <= 4 else f"{shown} and {len(labels) - 4} more"
