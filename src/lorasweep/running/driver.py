"""Run a study: prepare, agree on a lock, execute what is missing, summarise, analyse, report."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from lorasweep.analysis.results import for_test, summarise, with_analysis
from lorasweep.console.progress import Reporter, notebook_reporter
from lorasweep.console.stopping import StopSwitch, stop_switch
from lorasweep.errors import UserError
from lorasweep.folder import records
from lorasweep.folder.halving import cut_in_half, parts_of
from lorasweep.folder.heartbeat import died_of_memory
from lorasweep.folder.records import (
    EVAL_LOSS,
    BaseRecord,
    Lock,
    LockedPack,
    RunRecord,
    Scores,
)
from lorasweep.folder.store import Store
from lorasweep.model.machine import callers_threads
from lorasweep.model.ops.allocator import keep_few_kernels
from lorasweep.model.peft_format import save_adapter
from lorasweep.report.notebook import Results
from lorasweep.report.page import write_report
from lorasweep.running.executors.executor import Executor
from lorasweep.running.executors.local import HERE
from lorasweep.running.jobs import FinishedRun, RaceJob, Scored, job_of
from lorasweep.running.locking import agree, changes_since, planned_ids, to_resume, unfinished
from lorasweep.running.prepare import Prepared, prepare
from lorasweep.running.trackers import Trackers
from lorasweep.running.worker import Worker
from lorasweep.study.decoders import parse_decoder
from lorasweep.study.study import Study


def run(
    study: Study,
    out: Path | str | None = None,
    reporter: Reporter | None = None,
    *,
    track: Sequence[str] = (),
    executor: Executor = HERE,
) -> Results:
    """Run what a study still lacks in a folder, out/NAME by default, and return all its results.

    Without a reporter, a notebook shows the progress.
    Packs run in this process unless an executor takes them elsewhere.
    Everything finished stays on disk if this is interrupted; the next call goes on from there.
    `track` names experiment trackers that hear of every run when it is finished.
    Raises UserError for a study that cannot be run, before anything is written.
    """
    folder = Path("out") / study.name if out is None else Path(out)
    with _reporting(reporter) as told:
        return _run(study, Store(folder), told, may_train=True, track=track, executor=executor)


def decode(out: Path | str, decoders: Sequence[str], reporter: Reporter | None = None) -> Results:
    """Answer by more decoders in the folder of a finished study, and return all its results.

    The study is the one in the folder's lock; what a decoder has answered is not done again.
    Raises UserError for a decoder that is not known, and for a study that is not finished.
    """
    for name in decoders:
        parse_decoder(name)
    store, study = _kept_study(out)
    names = list(dict.fromkeys([*study.evaluate.decoders, *decoders]))
    evaluate = study.evaluate.model_copy(update={"decoders": names})
    more = study.model_copy(update={"evaluate": evaluate})
    with _reporting(reporter) as told:
        return _run(more, store, told, may_train=False)


def resume(out: Path | str, runs: Sequence[str], reporter: Reporter | None = None) -> Results:
    """Train runs that lost a race to their end and score them; return all results of the study.

    Interrupted, the same call goes on. Raises UserError for a run that was not stopped, and for a
    study that is not finished.
    """
    store, study = _kept_study(out)
    packs = to_resume(store, runs)
    with _reporting(reporter) as told:
        return _run(study, store, told, may_train=False, resumed=packs)


def _kept_study(out: Path | str) -> tuple[Store, Study]:
    """Return a folder with the study in its lock; raises UserError where there is none."""
    store = Store(Path(out))
    lock = store.read_lock()
    if lock is None:
        raise UserError(f"no study in {out}: run `lorasweep run STUDY --out {out}` first")
    return store, Study.parse(lock.study, str(store.lock_file))


def _reporting(reporter: Reporter | None) -> AbstractContextManager[Reporter]:
    return notebook_reporter() if reporter is None else nullcontext(reporter)


def _run(
    study: Study,
    store: Store,
    reporter: Reporter,
    may_train: bool,
    track: Sequence[str] = (),
    executor: Executor = HERE,
    resumed: Sequence[LockedPack] = (),
) -> Results:
    if study.race and not executor.in_order:
        raise UserError(
            "[race] compares a pack with those that ended before it, so packs must run one after "
            "another: leave out --executor ray, or [race]"
        )
    # Before the first product, which may be one that finds the machine's precision.
    keep_few_kernels()
    trackers = Trackers(track, store.out, reporter.note)
    prepared = prepare(study)
    for warning in prepared.warnings:
        reporter.note(f"warning: {warning}")
    with store.exclusive(), callers_threads(), stop_switch(reporter.note) as stop:
        lock = agree(store, prepared, executor)
        for change in changes_since(lock):
            reporter.note(f"warning: {change}")
        if (lock.precision, lock.device) == ("fp16", "cpu"):
            reporter.note("warning: fp16 is for cards; a processor multiplies it slowly")
        store.remove_leftovers()
        session = _Session(prepared, lock, store, reporter, trackers, stop, executor, resumed)
        session.run(may_train)
        return Results.load(store.out)


class _Session:
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
        self.ids = planned_ids(prepared, lock.precision)
        runs = prepared.plan.runs
        self.labels = {i: run.label for i, run in zip(self.ids, runs, strict=True)}

    @cached_property
    def worker(self) -> Worker:
        """The base model, loaded when the first thing is to be computed.

        The lock is written behind it: a model that cannot be used leaves no decisions.
        """
        prepared, lock = self.prepared, self.lock
        self.reporter.note(f"loading {prepared.study.model.base} in {lock.precision}")
        job = replace(job_of(prepared, lock, self.store.checkpoints_folder), race=self._race())
        worker = Worker(job, self.reporter, self.stop)
        self.store.write_lock(lock)
        return worker

    def _race(self) -> RaceJob | None:
        """Return the study's race, if any; all runs of the folder are in it, wanted or not.

        Runs that are resumed are in no race.
        """
        rule = None if self.resumed else self.prepared.study.race
        ids = [run.id for pack in self.lock.packs for run in pack.runs]
        names = {run_id: self.labels.get(run_id, run_id) for run_id in ids}
        return RaceJob(rule, names, self.store.out) if rule else None

    def run(self, may_train: bool) -> None:
        packs = unfinished(self.lock.packs, self.store, set(self.ids))
        if packs and not may_train:
            raise UserError(
                f"{self.store.out}: this study has runs that are not finished: "
                f"`lorasweep run STUDY --out {self.store.out}` first"
            )
        packs += self.resumed
        if self.store.lock_file.is_file():  # of a model that was loaded before
            self.store.write_lock(self.lock)
        self._score_base("eval")
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
        for run in self._finished_runs():
            self._score_run(run, "eval")
        self._score_test(self._summarise())
        with_analysis(
            self.store,
            self.prepared.sets["eval"].data.paragraphs,
            self.prepared.study.evaluate.clusters,
        )
        write_report(self.store.out)

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
        if died_of_memory(self.store.checkpoints_folder / pack.id):
            return self._halve(pack, "its process was killed before its first checkpoint")
        return [pack]

    def _halve(self, pack: LockedPack, why: str) -> list[LockedPack]:
        """Cut a pack in half; the lock says so before a part is tried."""
        if pack in self.resumed:
            raise UserError(f"{pack.id}: not enough memory to resume this run ({why})")
        trees = self.prepared.sets["train"].forest.trees
        self.lock = cut_in_half(self.lock, pack, why, max(tree.num_tokens for tree in trees))
        self.store.write_lock(self.lock)
        self.store.drop_checkpoints(pack.id)
        parts = parts_of(self.lock, pack)
        self.reporter.note(f"warning: {parts[0].cuts[-1]}")
        return parts

    def _missing(self, metrics: Mapping[str, Scores | float], folder: Path, role: str) -> list[str]:
        """Return the metrics to compute; the loss is one while losses.json is not there."""
        missing = [name for name in self.prepared.study.evaluate.decoders if name not in metrics]
        has_losses = role == "test" or self.store.read_losses(folder) is not None
        return missing if EVAL_LOSS in metrics and has_losses else [*missing, EVAL_LOSS]

    def _score_base(self, role: str) -> None:
        """Compute the metrics of the base model that its record lacks, and keep each at once."""
        record, folder = self.store.read_base() or self.worker.base_record(), self.store.base_folder
        missing = self._missing(metrics_in(record, role), folder, role)
        for scored in self.worker.score_base(missing, role) if missing else ():
            self._write_scored(folder, scored, role)
            record = with_metrics(record, role, scored.metrics)
            self.store.write_base(record)

    def _score_run(self, record: RunRecord, role: str) -> None:
        """Compute the metrics of a finished run that its record lacks, and keep each at once."""
        folder = self.store.run_folder(record.id)
        missing = self._missing(metrics_in(record, role), folder, role)
        for scored in self._scored_from_disk(record, missing, role) if missing else ():
            self._write_scored(folder, scored, role)
            record = with_metrics(record, role, scored.metrics)
            self.store.write_run(record)

    def _scored_from_disk(
        self, run: RunRecord, missing: Sequence[str], role: str
    ) -> Iterator[Scored]:
        if run.configuration.method == "full":
            folder = self.store.model_folder(run.id)
            return self.worker.score_model(run, folder, missing, role)
        folder = self.store.adapter_folder(run.id)
        return self.worker.score_adapter(run, folder, missing, role)

    def _score_test(self, results: records.Results) -> None:
        """Score the base model, the chosen run and the best full fine-tuning on the test set."""
        chosen = for_test(results)
        if "test" in self.prepared.sets and chosen:
            self._score_base("test")
            for run in chosen:
                self._score_run(run, "test")
            self._summarise()

    def _write_scored(self, folder: Path, scored: Scored, role: str) -> None:
        if scored.losses is not None:
            self.store.write_losses(folder, scored.losses)
        for decoder, rows in scored.predictions.items():
            self.store.write_predictions(folder, decoder, rows, role)

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
        if adapter is not None:
            self.store.write_adapter(record.id, lambda folder: save_adapter(folder, adapter))
        if finished.model is not None:
            self.store.write_model(record.id, finished.model.save)
        self.store.write_history(record.id, finished.history)
        self.store.write_rungs(record.id, finished.rungs)
        if finished.losses is not None:
            self.store.write_losses(self.store.run_folder(record.id), finished.losses)
        for decoder, rows in finished.predictions.items():
            self.store.write_predictions(self.store.run_folder(record.id), decoder, rows)
        self.store.write_run(record)
        self.trackers.send(self.prepared.study.name, record, finished.history)

    def _summarise(self) -> records.Results:
        results = summarise(
            self.store, self.lock, self.prepared.plan, self.ids, self.prepared.cards,
            self.prepared.warnings,
        )  # fmt: skip
        self.store.write_results(results)
        return results


R = TypeVar("R", BaseRecord, RunRecord)


def metrics_in(record: BaseRecord | RunRecord, role: str) -> dict[str, Scores | float]:
    """Return a record's metrics on the evaluation or test set."""
    return record.metrics if role == "eval" else record.test_metrics


def with_metrics(record: R, role: str, found: dict[str, Scores | float]) -> R:
    """Return the record with more metrics on the evaluation or test set; what it has stays."""
    more = found | metrics_in(record, role)
    joined = metrics_in(record, role) | more
    return record.model_copy(update={"metrics" if role == "eval" else "test_metrics": joined})
