"""An executor whose remote workers are in this process: the seam of a cluster without Ray."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lorasweep.folder.records import LockedPack
from lorasweep.hub.models import fingerprint_of
from lorasweep.running.executors.executor import Halve, labels_of
from lorasweep.running.executors.local import LocalExecutor
from lorasweep.running.executors.remote import Ended, RemoteWorker, Saved
from lorasweep.running.worker.jobs import FinishedRun
from lorasweep.running.worker.worker import Worker
from lorasweep.training.checkpoint import checkpoint_files, put_checkpoint


class RemoteHere(LocalExecutor):
    """Runs packs one after another by remote workers; the first dies after so many checkpoints."""

    def __init__(self, dies_after: int | None = None) -> None:
        self.lives, self.resumed_with = dies_after, list[list[str]]()

    def run_packs(
        self,
        worker: Worker,
        packs: Sequence[LockedPack],
        labels: Mapping[str, str],
        halve: Halve,
    ) -> Iterator[list[FinishedRun]]:
        for pack in packs:
            ended = None
            while ended is None:
                remote = RemoteWorker(worker.job, fingerprint_of(worker.job.folder))
                remote.load()
                ended = self._run(remote, pack, labels_of(pack, labels), worker.job.checkpoints)
            assert ended.error is None
            yield ended.runs

    def _run(
        self, remote: RemoteWorker, pack: LockedPack, labels: Sequence[str], checkpoints: Path
    ) -> Ended | None:
        folder = checkpoints / pack.id
        files = checkpoint_files(folder)
        self.resumed_with.append([file.name for file in files])
        remote.begin(pack, labels, {file.name: file.read_bytes() for file in files})
        while True:
            for event in remote.events():
                if isinstance(event, Saved):
                    put_checkpoint(folder, event.name, event.content)
                    if self._dies():
                        remote.stop()  # what it still sends is never read
                        return None
                elif isinstance(event, Ended):
                    return event

    def _dies(self) -> bool:
        if self.lives is not None:
            self.lives -= 1
        return self.lives == 0
