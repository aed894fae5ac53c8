"""The local executor: packs one after another in this process."""

import gc
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from lorasweep.console.progress import labels_line
from lorasweep.folder.records import Lock, LockedPack
from lorasweep.model.machine import is_out_of_memory
from lorasweep.running.executors.executor import Halve, labels_of
from lorasweep.running.worker.jobs import FinishedRun
from lorasweep.running.worker.worker import Worker
from lorasweep.study.plan import Pack


class LocalExecutor:
    """Runs packs by the driver's own worker."""

    in_order = True

    def sized(self, packs: Sequence[Pack], lock: Lock, lanes: int | str) -> list[Pack]:
        """Return the packs as they were planned, which is for one process."""
        return list(packs)

    def run_packs(
        self,
        worker: Worker,
        packs: Sequence[LockedPack],
        labels: Mapping[str, str],
        halve: Halve,
    ) -> Iterator[list[FinishedRun]]:
        """Yield each pack's finished runs as soon as they are there."""
        waiting, num_done = deque(packs), 0
        while waiting:
            pack = waiting.popleft()
            num_done += 1
            total = num_done + len(waiting)
            called = labels_of(pack, labels)
            worker.reporter.note(
                f"{pack.id}: {len(pack.runs)} lanes, {num_done} of {total} packs to run: "
                f"{labels_line(called)}"
            )
            try:
                finished = worker.run_pack(pack, called)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                reason = str(error).partition("\n")[0]
            else:
                yield finished
                # A fully trained model must not stay in memory while the next pack trains.
                del finished
                if worker.stop.requested:
                    raise KeyboardInterrupt
                continue
            # Only behind the handler: the traceback holds the tensors of the pack that failed.
            gc.collect()
            worker.loaded.give_back()
            waiting.extendleft(reversed(halve(pack, reason)))
            num_done -= 1


HERE = LocalExecutor()
