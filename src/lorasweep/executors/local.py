"""The local executor: packs one after another in this process."""

from collections.abc import Iterator, Mapping, Sequence

from lorasweep.jobs import FinishedRun
from lorasweep.progress import Reporter
from lorasweep.records import LockedPack
from lorasweep.worker import Worker


def run_packs(
    worker: Worker, packs: Sequence[LockedPack], labels: Mapping[str, str], reporter: Reporter
) -> Iterator[list[FinishedRun]]:
    """Yield each pack's finished runs as soon as they are there."""
    for number, pack in enumerate(packs, 1):
        reporter.note(f"{pack.id}: {len(pack.runs)} lanes, {number} of {len(packs)} packs to run")
        yield worker.run_pack(pack, [labels.get(run.id, run.id) for run in pack.runs])
