"""Workers on a Ray cluster that take packs until all are done, whichever of them die."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray

from lorasweep.errors import UserError
from lorasweep.folder.records import LockedPack
from lorasweep.hub.models import fingerprint_of
from lorasweep.model.machine import is_out_of_memory, versions
from lorasweep.running.executors.executor import Halve, labels_of
from lorasweep.running.executors.overview import Overview, questions_per_pack
from lorasweep.running.executors.remote import Ended, Event, Place, RemoteWorker, Saved, Told
from lorasweep.running.executors.sizing import pick
from lorasweep.running.worker.jobs import FinishedRun
from lorasweep.running.worker.worker import Worker
from lorasweep.training.checkpoint import checkpoint_files, put_checkpoint

SECONDS_BETWEEN_LOOKS = 0.5
# Workers that die on one pack without a checkpoint between them: the pack is at fault then.
MOST_DEATHS = 3
LOADING = "loading the base model"
# For the loading, for stopping, and for waiting on events.
THREADS_OF_ACTOR = 3


@dataclass(slots=True, eq=False)
class Member:
    """A worker of the pool: `awaits` is its loading or its next events, None while it is idle."""

    actor: Any
    awaits: Any
    place: Place | None = None
    pack: LockedPack | None = None


class Pool:
    """One call's workers: one is asked for each pack, and runs where the cluster has room."""

    def __init__(
        self, worker: Worker, packs: Sequence[LockedPack], labels: Mapping[str, str],
        halve: Halve, resources: dict[str, float],
    ) -> None:  # fmt: skip
        self.job, self.reporter, self.stop = worker.job, worker.reporter, worker.stop
        self.waiting = deque(packs)
        self.labels, self.halve = labels, halve
        self.job_ref, self.fingerprint = ray.put(self.job), fingerprint_of(self.job.folder)
        self.actor = ray.remote(RemoteWorker).options(
            **resources, max_concurrency=THREADS_OF_ACTOR, scheduling_strategy="SPREAD"
        )
        self.deaths: Counter[str] = Counter()
        self.hosts: set[str] = set()
        self.asked_to_stop = False
        self.overview = Overview(self.reporter, questions_per_pack(self.job), packs)
        self.members = [self._hire() for _ in packs]

    def _hire(self) -> Member:
        actor = self.actor.remote(self.job_ref, self.fingerprint)
        return Member(actor, actor.load.remote())

    def run(self) -> Iterator[list[FinishedRun]]:
        """Yield each pack's runs; raises KeyboardInterrupt once all have stopped, where asked."""
        try:
            while self.waiting or any(member.pack for member in self.members):
                if self.stop.requested and not self.asked_to_stop:
                    self._stop_all()
                yield from self._look()
            if self.stop.requested:
                raise KeyboardInterrupt
            self.reporter.finish()
        finally:
            for member in self.members:
                ray.kill(member.actor)

    def _stop_all(self) -> None:
        self.asked_to_stop = True
        self.waiting.clear()
        for member in self.members:
            if member.pack:
                member.actor.stop.remote()

    def _look(self) -> Iterator[list[FinishedRun]]:
        """Give packs to idle workers, then yield what has ended meanwhile."""
        for member in self.members:
            if member.place and not member.pack:
                self._give(member, member.place)
        awaited = {member.awaits: member for member in self.members if member.awaits is not None}
        ready, _ = ray.wait(list(awaited), num_returns=1, timeout=SECONDS_BETWEEN_LOOKS)
        for ref in ready:
            yield from self._hear(awaited[ref])

    def _give(self, member: Member, place: Place) -> None:
        largest = max(m.place.memory_bytes for m in self.members if m.place)
        pack = pick(self.waiting, place.memory_bytes, largest)
        if pack is None:
            return
        self.waiting.remove(pack)
        member.pack = pack
        self.overview.begin(pack)
        files = checkpoint_files(self.job.checkpoints / pack.id)
        content = {file.name: file.read_bytes() for file in files}
        member.actor.begin.remote(pack, labels_of(pack, self.labels), content)
        member.awaits = member.actor.events.remote()

    def _hear(self, member: Member) -> Iterator[list[FinishedRun]]:
        try:
            told = ray.get(member.awaits)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except ray.exceptions.RayError as error:
            self._lost(member, error)
            return
        if isinstance(told, Place):
            member.place, member.awaits = told, None
            self._greet(told)
            return
        assert member.pack is not None
        pack, member.awaits = member.pack, member.actor.events.remote()
        for event in told:
            yield from self._take(member, pack, event)

    def _take(self, member: Member, pack: LockedPack, event: Event) -> Iterator[list[FinishedRun]]:
        if isinstance(event, Told):
            self.overview.told(pack.id, event)
        elif isinstance(event, Saved):
            self.deaths[pack.id] = 0
            self._keep(pack, event)
        else:
            member.pack = member.awaits = None
            yield from self._end(pack, event)

    def _end(self, pack: LockedPack, ended: Ended) -> Iterator[list[FinishedRun]]:
        if ended.error is not None:
            if not is_out_of_memory(ended.error):
                raise ended.error
            self.overview.lost(pack.id)
            self.waiting.extendleft(reversed(self.halve(pack, _first_line(ended.error))))
        if ended.runs:
            self.overview.end(pack.id)
            yield ended.runs

    def _keep(self, pack: LockedPack, saved: Saved) -> None:
        try:
            put_checkpoint(self.job.checkpoints / pack.id, saved.name, saved.content)
        except OSError as error:
            self.reporter.note(f"warning: no checkpoint written, training goes on: {error}")

    def _greet(self, place: Place) -> None:
        """Tell once of a machine with other versions than the driver's."""
        self.deaths[LOADING] = 0
        here = versions()
        other = [
            f"{k} {v} (here {here.get(k)})" for k, v in place.versions.items() if v != here.get(k)
        ]
        if other and place.host not in self.hosts:
            self.reporter.note(f"warning: {place.host} has {', '.join(other)}: results may differ")
        self.hosts.add(place.host)

    def _lost(self, member: Member, error: Exception) -> None:
        """Put a dead worker's pack back in front, and ask for another worker."""
        self.members.remove(member)
        at = member.pack.id if member.pack else LOADING
        self.deaths[at] += 1
        if self.deaths[at] >= MOST_DEATHS:
            raise UserError(f"{MOST_DEATHS} workers died at {at}: {_first_line(error)}")
        if member.pack:
            self.overview.lost(member.pack.id)
        if self.asked_to_stop:
            return
        where = f" on {member.place.host}" if member.place else ""
        self.reporter.note(f"a worker{where} died at {at}, which starts again {self._saved(at)}")
        if member.pack:
            self.waiting.appendleft(member.pack)
        self.members.append(self._hire())

    def _saved(self, pack_id: str) -> str:
        files = checkpoint_files(self.job.checkpoints / pack_id)
        return f"from step {int(files[0].stem.partition('-')[2])}" if files else "from nothing"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
