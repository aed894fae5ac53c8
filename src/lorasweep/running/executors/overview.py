"""The progress of many packs at once, as one job of a reporter."""

from collections.abc import Sequence

from lorasweep.console.progress import Reporter
from lorasweep.folder.records import LockedPack
from lorasweep.running.executors.remote import Told
from lorasweep.running.worker.jobs import Job


def questions_per_pack(job: Job) -> int:
    """Return how many questions a pack trains on in all epochs, and answers by all decoders."""
    answered = len(job.evaluate.decoders) * job.sets["eval"].forest.num_questions
    return job.recipe.epochs * job.sets["train"].forest.num_questions + answered


class Overview:
    """Counts questions trained and answered by every run; the detail has each running pack."""

    def __init__(self, reporter: Reporter, per_pack: int, packs: Sequence[LockedPack]) -> None:
        self.reporter, self.per_pack = reporter, per_pack
        self.done: dict[str, int] = {}
        self.details: dict[str, str] = {}
        self.begun: set[str] = set()
        self.lanes: dict[str, int] = {}
        lanes = sum(len(pack.runs) for pack in packs)
        title = f"{len(packs)} packs, {lanes} runs"
        reporter.start(title, lanes * self.per_pack)

    def begin(self, pack: LockedPack) -> None:
        """Show a pack that a worker has taken."""
        self.done[pack.id], self.details[pack.id] = 0, ""
        self.lanes[pack.id] = len(pack.runs)

    def told(self, pack_id: str, told: Told) -> None:
        """Take in what a pack's worker told a reporter."""
        if told.method == "note":
            self.reporter.note(f"{pack_id}: {told.arguments[0]}")
        elif told.method == "skip" and pack_id not in self.begun:
            self.begun.add(pack_id)
            self.done[pack_id] += told.arguments[0]
            self.reporter.skip(told.arguments[0] * self.lanes[pack_id])
        elif told.method in ("skip", "advance"):
            amount, detail = (*told.arguments, "")[:2]
            self.begun.add(pack_id)
            self.details[pack_id] = detail
            self.done[pack_id] += amount
            self._tell(amount * self.lanes[pack_id])

    def lost(self, pack_id: str) -> None:
        """Take back what a pack had done: its next worker tells from where it goes on."""
        self._tell(-self._drop(pack_id) * self.lanes[pack_id])

    def end(self, pack_id: str) -> None:
        """Count a pack as done, whatever its lanes left out."""
        self._tell((self.per_pack - self._drop(pack_id)) * self.lanes[pack_id])

    def _drop(self, pack_id: str) -> int:
        del self.details[pack_id]
        return self.done.pop(pack_id)

    def _tell(self, amount: int) -> None:
        running = [
            f"{name} {100 * done // self.per_pack} % {self.details[name]}".rstrip()
            for name, done in self.done.items()
        ]
        self.reporter.advance(amount, "; ".join(running))
