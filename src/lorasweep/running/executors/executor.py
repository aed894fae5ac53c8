"""Where packs are run: in this process, or on a Ray cluster."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from lorasweep.folder.records import Lock, LockedPack
from lorasweep.running.worker.jobs import FinishedRun
from lorasweep.running.worker.worker import Worker
from lorasweep.study.plan import Pack

# Given a pack and why memory does not hold it: logs the cut in the lock and returns the parts.
Halve = Callable[[LockedPack, str], list[LockedPack]]


class Executor(Protocol):
    """Runs packs somewhere; the driver decides them before, and writes what comes back."""

    # Whether each pack is finished before the next begins, which a race needs.
    in_order: bool

    def sized(self, packs: Sequence[Pack], lock: Lock, lanes: int | str) -> list[Pack]:
        """Return new packs cut to where they will run; `lanes` is what the study asks for."""
        ...

    def run_packs(
        self,
        worker: Worker,
        packs: Sequence[LockedPack],
        labels: Mapping[str, str],
        halve: Halve,
    ) -> Iterator[list[FinishedRun]]:
        """Yield each pack's finished runs as soon as they are there, in any order.

        A pack that memory does not hold is replaced by what `halve` makes of it, and tried again.
        `worker` is the driver's own; closing the iterator stops what still runs.
        """
        ...


def labels_of(pack: LockedPack, labels: Mapping[str, str]) -> list[str]:
    """Return what to call a pack's runs, given labels by run id."""
    return [labels.get(run.id, run.id) for run in pack.runs]
