"""A worker: one process's copy of the base model and the data, which trains and scores packs.

`Worker.run_pack` is the seam that executors share: a pack goes in, finished runs come out, and
the session alone writes them to disk.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lorasweep.console.progress import Reporter
from lorasweep.console.stopping import StopSwitch
from lorasweep.folder.heartbeat import beating
from lorasweep.folder.records import BaseRecord, LockedPack, RunRecord
from lorasweep.model.machine import free_memory_bytes, versions
from lorasweep.model.peft_format import WEIGHTS, answering_lane, load_adapter
from lorasweep.running.worker.examine import Examiner
from lorasweep.running.worker.jobs import FinishedRun, Job, Scored
from lorasweep.running.worker.loaded import Loaded
from lorasweep.running.worker.pack_run import PackRun


class Worker:
    """Runs packs and scores what is on disk, by one base model that it loads once."""

    def __init__(
        self, job: Job, reporter: Reporter, stop: StopSwitch,
        on_checkpoint: Callable[[Path], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self.job, self.reporter, self.stop = job, reporter, stop
        self.on_checkpoint = on_checkpoint
        self.loaded = Loaded(job)

    def base_record(self) -> BaseRecord:
        """Return the base model's record, without metrics."""
        return BaseRecord(
            name=self.job.base,
            num_parameters=self.loaded.base.model.num_parameters(),
            precision=self.job.precision,
            note=self.job.note,
            versions=versions(),
        )

    def score_base(self, missing: Sequence[str], role: str) -> Iterator[list[Scored]]:
        """Score the untuned base model on the evaluation or test set, metric after metric."""
        return self._examiner.score(missing, role, ["base model"], [self.job.base])

    def score_adapters(
        self, runs: Sequence[RunRecord], folders: Sequence[Path], missing: Sequence[str], role: str
    ) -> Iterator[list[Scored]]:
        """Score adapters from disk in lockstep, metric after metric, each of them for all runs."""
        saved = [load_adapter(folder) for folder in folders]
        labels, files = [run.label for run in runs], [str(folder / WEIGHTS) for folder in folders]
        with self.loaded.base.adapted([answering_lane(each) for each in saved]) as adapters:
            for k, each in enumerate(saved):
                adapters.put(k, each.weights)
            yield from self._examiner.score(missing, role, labels, files)

    def score_model(
        self, run: RunRecord, folder: Path, missing: Sequence[str], role: str
    ) -> Iterator[list[Scored]]:
        """Score a fully trained model from disk on the evaluation or test set."""
        with self.loaded.in_full(folder):
            yield from self._examiner.score(missing, role, [run.label], [str(folder)])

    @property
    def _examiner(self) -> Examiner:
        return Examiner.of(self.loaded, self.job.micro_tokens, self.reporter, self.stop)

    def run_pack(self, pack: LockedPack, labels: Sequence[str]) -> list[FinishedRun]:
        """Train a pack's runs in lockstep, then score them.

        Raises what `machine.is_out_of_memory` knows where memory does not hold the pack.
        """
        # What earlier packs have freed would count in this one's peak.
        self.loaded.give_back()
        with beating(self.job.checkpoints / pack.id, free_memory_bytes()) as pulse:
            told = (self.reporter, self.stop, self.on_checkpoint, pulse)
            return PackRun(self.loaded, pack, labels, *told).run()
