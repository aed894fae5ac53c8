"""Progress of a study at work, on disk, so that another process can show it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from lorasweep.progress import Reporter
from lorasweep.records import LiveProgress
from lorasweep.store import Store

SECONDS_BETWEEN_WRITES = 1.0


class Published:
    """A reporter that passes everything on to another, and writes progress into the folder."""

    def __init__(self, reporter: Reporter, store: Store) -> None:
        self.reporter, self.store = reporter, store
        self.progress = LiveProgress(job="starting", done=0, total=0, detail="", time=time.time())

    def note(self, text: str) -> None:
        """Pass it on."""
        self.reporter.note(text)

    def start(self, job: str, total: int) -> None:
        """Pass it on, and write at once."""
        self.reporter.start(job, total)
        self._write(job=job, total=total, done=0, detail="")

    def skip(self, amount: int) -> None:
        """Pass it on."""
        self.reporter.skip(amount)
        self._add(amount, "taken up again")

    def advance(self, amount: int, detail: str = "") -> None:
        """Pass it on, and write now and then."""
        self.reporter.advance(amount, detail)
        self._add(amount, detail)

    def finish(self) -> None:
        """Pass it on."""
        self.reporter.finish()

    def _add(self, amount: int, detail: str) -> None:
        done = {"done": self.progress.done + amount, "detail": detail}
        if time.time() - self.progress.time >= SECONDS_BETWEEN_WRITES:
            self._write(**done)
        else:
            self.progress = self.progress.model_copy(update=done)

    def _write(self, **changes: object) -> None:
        self.progress = self.progress.model_copy(update={**changes, "time": time.time()})
        self.store.write_progress(self.progress)


@contextmanager
def published(reporter: Reporter, store: Store) -> Iterator[Published]:
    """Write progress into a study's folder while it is at work."""
    try:
        yield Published(reporter, store)
    finally:
        store.drop_progress()
