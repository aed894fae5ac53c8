"""One call of `run` on one folder: packs are run, what is missing is scored, all is summarised."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property

from lorasweep.analysis.results import for_test, summarise, with_analysis
from lorasweep.console.progress import Reporter
from lorasweep.console.stopping import StopSwitch
from lorasweep.data.cuts import longest_row
from lorasweep.errors import UserError
from lorasweep.folder.halving import cut_in_half, is_smallest, parts_of, too_small
from lorasweep.folder.heartbeat import died_of_memory, memory_deaths, read_heartbeat
from lorasweep.folder.records import Lock, LockedPack, Results, RunRecord
from lorasweep.folder.store import Store
from lorasweep.folder.sums import sums_of
from lorasweep.model.machine import free_memory_bytes
from lorasweep.model.peft_format import save_adapter
from lorasweep.report.page import write_report
from lorasweep.running.executors.executor import Executor
from lorasweep.running.joining import Newcomer, join
from lorasweep.running.locking import planned_ids, unfinished
from lorasweep.running.missing_scores import MissingScores, write_scored
from lorasweep.running.prepare import Prepared
from lorasweep.running.trackers import Trackers
from lorasweep.running.worker.jobs import FinishedRun, RaceJob, Scored, job_of
from lorasweep.running.worker.worker import Worker

KILLED = "its process was killed before its first checkpoint"


class Session:
    """One call of `run` on one folder; `resumed` are packs of runs that lost a race."""

    def __init__(
        self,
        prepared: Prepared,
        lock: Lock,
        store: Store,
        reporter: Reporter,
        trackers: Trackers,
        stop: StopSwitch,
        executor: Executor,
        resumed: Sequence[LockedPack],
    ) -> None:
        self.prepared, self.lock, self.store, self.trackers = prepared, lock, store, trackers
        self.reporter, self.stop = reporter, stop
        self.executor, self.resumed = executor, resumed
        decoders = prepared.study.evaluate.decoders
        lanes = max((len(pack.runs) for pack in lock.packs), default=1)
        self.missing = MissingScores(store, decoders, lambda: self.worker, lanes)
        self.ids = planned_ids(prepared, lock.precision)
        runs = prepared.plan.runs
        self.labels = {i: run.label for i, run in zip(self.ids, runs, strict=True)}

    @cached_property
    def worker(self) -> Worker:
        """The base model, loaded when the first thing is to be computed.

        The lock is written behind it: a model that cannot be used leaves no decisions.
        """
        worker = self._loaded
        self.store.write_lock(self.lock)
        return worker

    @cached_property
    def _loaded(self) -> Worker:
        prepared, lock = self.prepared, self.lock
        self.reporter.note(f"loading {prepared.study.model.base} in {lock.precision}")
        job = replace(job_of(prepared, lock, self.store.checkpoints_folder), race=self._race())
        with self.stop.at_once("the model's loading"):
            return Worker(job, self.reporter, self.stop)

    def _race(self) -> RaceJob | None:
        """Return the study's race, if any; all runs of the folder are in it, wanted or not.

        Runs that are resumed are in no race.
        """
        rule = None if self.resumed else self.prepared.study.race
        ids = [run.id for pack in self.lock.packs for run in pack.runs]
        names = {run_id: self.labels.get(run_id, run_id) for run_id in ids}
        return RaceJob(rule, names, self.store.out) if rule else None

    def run(self, may_train: bool, newcomer: Newcomer | None = None) -> None:
        """Do all that the folder lacks; an adapter from elsewhere joins it before that."""
        packs = unfinished(self.lock.packs, self.store, set(self.ids))
        if packs and not may_train:
            raise UserError(
                f"{self.store.out}: this study has runs that are not finished: "
                f"`lorasweep run STUDY --out {self.store.out}` first"
            )
        packs += self.resumed
        if newcomer:
            self.lock = join(newcomer, self.store, self.lock, self._loaded, self.missing.decoders)
        if self.store.lock_file.is_file():  # of a model that was loaded before
            self.store.write_lock(self.lock)
        self.missing.of_base("eval")
        # Of a model that has answered, now or before: then none was loaded that would bring it.
        self.store.write_lock(self.lock)
        for finished in self._execute(packs):
            for one in finished:
                before = self.store.read_run(one.record.id)
                if before is None or before.state == "stopped":
                    self._keep(one, before)
            self.store.drop_checkpoints(finished[0].record.pack.id)
            # A fully trained model must not stay in memory while the next pack trains.
            del finished, one
            self._summarise()
        self._stop_if_asked()
        self._score(self._finished_runs(), "eval")
        self._score_test(self._summarise())
        paragraphs = self.prepared.sets["eval"].data.groups
        with self.stop.at_once("the analysis"):
            with_analysis(self.store, paragraphs, self.prepared.study.evaluate.clusters)
        with self.stop.at_once("the report"):
            write_report(self.store.out, tell=self.reporter.note)

    def _stop_if_asked(self) -> None:
        if self.stop.requested:
            raise KeyboardInterrupt

    def _execute(self, packs: Sequence[LockedPack]) -> Iterator[list[FinishedRun]]:
        if not packs:
            return iter(())
        worker = self.worker
        tried = [part for pack in packs for part in self._after_a_death(pack)]
        return self.executor.run_packs(worker, tried, self.labels, self._halve)

    def _after_a_death(self, pack: LockedPack) -> list[LockedPack]:
        """Return what to try of a pack whose last process may have died of memory."""
        folder = self.store.checkpoints_folder / pack.id
        if memory_deaths(folder) == 1:
            self.reporter.note(
                f"warning: {pack.id}: its process was killed as memory ran out, its own or another "
                "program's; it is tried once more as it is"
            )
        if not died_of_memory(folder):
            return [pack]
        before, now = read_heartbeat(folder).free_bytes, free_memory_bytes()
        if is_smallest(self.lock, pack, self._longest):
            if before is None or (now is not None and now > before):
                return [pack]
            refusal = too_small(pack, self._longest, KILLED)
            raise UserError(
                f"{refusal}; it is tried again once more than {before / 1e9:.1f} GB are free, or "
                f"when {folder} is deleted"
            )
        return self._halve(pack, KILLED)

    @property
    def _longest(self) -> int:
        """The tokens of the longest training row, cut as far as it can be."""
        return longest_row(self.prepared.sets["train"].forest.trees)

    def _halve(self, pack: LockedPack, why: str) -> list[LockedPack]:
        """Cut a pack in half; the lock says so before a part is tried."""
        if pack in self.resumed:
            raise UserError(f"{pack.id}: not enough memory to resume this run ({why})")
        self.lock = cut_in_half(self.lock, pack, why, self._longest)
        self.store.write_lock(self.lock)
        self.store.drop_checkpoints(pack.id)
        parts = parts_of(self.lock, pack)
        self.reporter.note(f"warning: {parts[0].cuts[-1]}")
        return parts

    def _score_test(self, results: Results) -> None:
        """Score the base model, the chosen run and the best full fine-tuning on the test set.

        Runs that were chosen before keep their scores, and so have to have their files.
        """
        chosen = [run.id for run in for_test(results)]
        if "test" in self.prepared.sets and chosen:
            self.missing.of_base("test")
            runs = self._finished_runs()
            self._score([run for run in runs if run.id in chosen or run.test_metrics], "test")
            self._summarise()

    def _score(self, runs: Sequence[RunRecord], role: str) -> None:
        """Score what the runs' records lack: the study's own in lockstep, others one by one."""
        self.missing.of_runs([run for run in runs if run.imported_from is None], role)
        for run in runs:
            if run.imported_from is not None:
                self._score_imported(run, role)

    def _score_imported(self, run: RunRecord, role: str) -> None:
        """Score an adapter from elsewhere; one that cannot be is no end of the study: it failed."""
        try:
            self.missing.of_runs([run], role)
        except UserError as error:
            self.reporter.note(f"warning: {run.label} has failed: {error}")
            record = self.store.read_run(run.id) or run
            told = {"state": "failed", "warnings": [*record.warnings, str(error)]}
            self.store.write_run(record.model_copy(update=told))

    def _finished_runs(self) -> list[RunRecord]:
        """Return the study's runs that are done, imported ones last."""
        wanted = set(self.ids)
        ids = [run.id for pack in self.lock.packs for run in pack.runs if run.id in wanted]
        records = [self.store.read_run(run_id) for run_id in [*ids, *self.lock.imported]]
        return [record for record in records if record and record.state == "done"]

    def _keep(self, finished: FinishedRun, before: RunRecord | None) -> None:
        """Write a run; its record comes last, so that a run without one is not half done.

        What the record of before says of a stop stays.
        """
        record, adapter = finished.record, finished.adapter
        if before is not None:
            record = record.model_copy(update={"stop": before.stop})
            # Its files are about to be others: a kill must not leave them beside sums of before.
            self.store.write_run(before.model_copy(update={"files": {}}))
        files = self.store.of_run(record.id)
        if adapter is not None:
            files.write_adapter(lambda folder: save_adapter(folder, adapter))
        if finished.model is not None:
            files.write_model(finished.model.save)
        files.write_history(finished.history)
        files.write_rungs(finished.rungs)
        write_scored(files, Scored({}, finished.predictions, finished.losses))
        self.store.write_run(record.model_copy(update={"files": sums_of(files.folder)}))
        self.trackers.send(self.prepared.study.name, record, finished.history)

    def _summarise(self) -> Results:
        results = summarise(
            self.store, self.lock, self.prepared.plan, self.ids, self.prepared.cards,
            self.prepared.warnings,
        )  # fmt: skip
        self.store.write_results(results)
        return results
