"""The local executor: packs one after another in this process."""

import gc
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

from lorasweep.jobs import FinishedRun
from lorasweep.machine import is_out_of_memory
from lorasweep.progress import Reporter
from lorasweep.records import LockedPack
from lorasweep.worker import Worker

Halve = Callable[[LockedPack, str], list[LockedPack]]


def run_packs(
    worker: Worker,
    packs: Sequence[LockedPack],
    labels: Mapping[str, str],
    reporter: Reporter,
    halve: Halve,
) -> Iterator[list[FinishedRun]]:
    """Yield each pack's finished runs as soon as they are there.

    A pack that memory does not hold is replaced by what `halve` makes of it, and tried again.
    """
    waiting, num_done = deque(packs), 0
    while waiting:
        pack = waiting.popleft()
        num_done += 1
        total = num_done + len(waiting)
        reporter.note(f"{pack.id}: {len(pack.runs)} lanes, {num_done} of {total} packs to run")
        try:
            finished = worker.run_pack(pack, [labels.get(run.id, run.id) for run in pack.runs])
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            reason = str(error).partition("\n")[0]
        else:
            yield finished
            continue
        # Only behind the handler: the traceback holds the tensors of the pack that failed.
        gc.collect()
        worker.let_go()
        waiting.extendleft(reversed(halve(pack, reason)))
        num_done -= 1
