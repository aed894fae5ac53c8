"""A worker that runs in a process of its own and tells in events all that it does.

The driver alone writes to the study's folder, so checkpoints travel there as bytes; the folder
here is for passing them only, and no storage need be shared.
"""

import platform
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from lorasweep.console.stopping import StopSwitch
from lorasweep.errors import UserError
from lorasweep.folder.records import LockedPack
from lorasweep.hub import models
from lorasweep.model.machine import device_memory_bytes, versions
from lorasweep.running.worker.jobs import FinishedRun, Job
from lorasweep.running.worker.worker import Worker


@dataclass(frozen=True, slots=True)
class Told:
    """A call of the reporter's method, such as "advance"."""

    method: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint file, as it should lie in the pack's folder."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a pack: its runs, or the error that ended it; neither where it was stopped."""

    runs: list[FinishedRun]
    error: Exception | None = None


Event = Told | Saved | Ended


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker is: the machine's name, its share of memory, and its versions."""

    host: str
    memory_bytes: int
    versions: dict[str, str]


def place_here(device: str, threads: int) -> Place:
    """Return what this machine offers to a worker of so many threads."""
    return Place(platform.node(), device_memory_bytes(device, threads), versions())


class RemoteWorker:
    """Loads the base model once and runs packs, one at a time; `events` tells what happens.

    Its methods may be called from several threads; all computing is done in one.
    """

    def __init__(self, job: Job, fingerprint: str) -> None:
        self.job, self.fingerprint = job, fingerprint
        self.stopping = StopSwitch(lambda _: None)
        self.mailbox: SimpleQueue[Event] = SimpleQueue()
        # The number of threads is set per thread, and decides the last bits.
        self.computing = ThreadPoolExecutor(max_workers=1)
        self.worker: Worker | None = None

    def load(self) -> Place:
        """Load the base model; raises UserError where this machine has not the driver's files."""
        self.worker = self.computing.submit(self._load).result()
        return place_here(self.job.device, self.job.threads)

    def _load(self) -> Worker:
        try:
            folder = _same_model(self.job, self.fingerprint)
        except UserError as error:
            raise UserError(f"on {platform.node()}: {error}") from None
        scratch = Path(tempfile.mkdtemp(prefix="lorasweep-"))
        job = replace(self.job, folder=folder, checkpoints=scratch)
        return Worker(job, _Telling(self.mailbox.put), self.stopping, self._send)

    def begin(
        self, pack: LockedPack, labels: Sequence[str], checkpoints: Mapping[str, bytes]
    ) -> None:
        """Run a pack from the newest of its checkpoints, given by name; returns at once."""
        self.computing.submit(self._run, pack, labels, checkpoints)

    def _run(
        self, pack: LockedPack, labels: Sequence[str], checkpoints: Mapping[str, bytes]
    ) -> None:
        assert self.worker is not None
        folder = self.worker.job.checkpoints / pack.id
        try:
            folder.mkdir(parents=True)
            for name, content in checkpoints.items():
                (folder / name).write_bytes(content)
            self.mailbox.put(Ended(self.worker.run_pack(pack, labels)))
        except KeyboardInterrupt:
            self.mailbox.put(Ended([]))
        except Exception as error:  # whatever it is, it is the driver's to raise
            self.mailbox.put(Ended([], error))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _send(self, file: Path) -> None:
        self.mailbox.put(Saved(file.name, file.read_bytes()))

    def events(self, seconds: float = 60.0) -> list[Event]:
        """Return what has happened since the last call, waiting for something at most so long."""
        try:
            found = [self.mailbox.get(timeout=seconds)]
        except Empty:
            return []
        while not self.mailbox.empty():
            found.append(self.mailbox.get())
        return found

    def stop(self) -> None:
        """Ask the pack to stop after its step, which is sent as a checkpoint."""
        self.stopping.requested = True


class _Telling:
    """A reporter whose calls become events."""

    def __init__(self, put: Callable[[Event], None]) -> None:
        self.put = put

    def note(self, text: str) -> None:
        self.put(Told("note", (text,)))

    def start(self, job: str, total: int) -> None:
        self.put(Told("start", (job, total)))

    def skip(self, amount: int) -> None:
        self.put(Told("skip", (amount,)))

    def advance(self, amount: int, detail: str = "") -> None:
        self.put(Told("advance", (amount, detail)))

    def finish(self) -> None:
        self.put(Told("finish", ()))


def _same_model(job: Job, fingerprint: str) -> Path:
    """Return the folder of the base model on this machine, whose files must be the driver's."""
    folder = job.folder if job.folder.is_dir() else models.locate(job.base)
    if models.fingerprint_of(folder) != fingerprint:
        raise UserError(f"{folder}: not the files of {job.base} that the driver has")
    return folder
