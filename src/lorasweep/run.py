"""Run a study: prepare, agree on a lock, execute what is missing, summarise, report."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from lorasweep.executors.local import run_packs
from lorasweep.locking import agree, planned_ids, unfinished
from lorasweep.peft_format import save_adapter
from lorasweep.prepare import Prepared, prepare
from lorasweep.progress import Reporter, Silent
from lorasweep.records import Lock, LockedPack, LockedRun, Results, Scores
from lorasweep.report import write_report
from lorasweep.results import summarise
from lorasweep.store import Store
from lorasweep.study import Study
from lorasweep.worker import FinishedRun, Job, Worker


def run(study: Study, out: Path | str, reporter: Reporter | None = None) -> Results:
    """Run what a study still lacks in a folder, and return all its results.

    Everything finished stays on disk if this is interrupted; the next call goes on from there.
    Raises UserError for a study that cannot be run, before anything is written.
    """
    reporter = reporter or Silent()
    store = Store(Path(out))
    prepared = prepare(study)
    for warning in prepared.warnings:
        reporter.note(f"warning: {warning}")
    lock = agree(store, prepared)
    return _Session(prepared, lock, store, reporter).run()


class _Session:
    """One call of `run` on one folder."""

    def __init__(self, prepared: Prepared, lock: Lock, store: Store, reporter: Reporter) -> None:
        self.prepared, self.lock, self.store, self.reporter = prepared, lock, store, reporter
        self.ids = planned_ids(prepared, lock.precision)
        runs = prepared.plan.runs
        self.labels = {i: run.label for i, run in zip(self.ids, runs, strict=True)}

    @cached_property
    def worker(self) -> Worker:
        """The base model, loaded when the first thing is to be computed."""
        prepared, lock = self.prepared, self.lock
        self.reporter.note(f"loading {prepared.study.model.base} in {lock.precision}")
        job = Job(
            base=prepared.study.model.base,
            folder=prepared.folder,
            note=prepared.note,
            recipe=prepared.study.recipe,
            evaluate=prepared.study.evaluate,
            train=prepared.train,
            eval=prepared.eval,
            eval_paragraphs=prepared.selection.eval.paragraphs,
            precision=lock.precision,
            device=lock.device,
            threads=lock.threads,
            micro_tokens=lock.micro_tokens,
        )
        return Worker(job, self.reporter)

    def run(self) -> Results:
        self._run_base()
        packs = unfinished(self.lock.packs, self.store, set(self.ids))
        for finished in self._execute(packs):
            for one in finished:
                self._keep(one)
            self._summarise()
        self._run_missing_decoders()
        results = self._summarise()
        write_report(self.store.out)
        return results

    def _execute(self, packs: Sequence[LockedPack]) -> Iterator[list[FinishedRun]]:
        return run_packs(self.worker, packs, self.labels, self.reporter) if packs else iter(())

    def _run_base(self) -> None:
        """Score the base model by the decoders that its record lacks."""
        record = self.store.read_base()
        missing = self._missing(record.metrics if record else {})
        if record is not None and not missing:
            return
        finished = self.worker.run_base(missing)
        for decoder, rows in finished.predictions.items():
            self.store.write_predictions(self.store.base_folder, decoder, rows)
        before = record.metrics if record else {}
        metrics = {**before, **finished.record.metrics}
        self.store.write_base(finished.record.model_copy(update={"metrics": metrics}))

    def _missing(self, metrics: dict[str, Scores | float]) -> list[str]:
        return [d for d in self.prepared.study.evaluate.decoders if d not in metrics]

    def _keep(self, finished: FinishedRun) -> None:
        """Write a run; its record comes last, so that a run without one is not half done."""
        record, adapter = finished.record, finished.adapter
        if adapter is not None:
            self.store.write_adapter(record.id, lambda folder: save_adapter(folder, adapter))
        self.store.write_history(record.id, finished.history)
        for decoder, rows in finished.predictions.items():
            self.store.write_predictions(self.store.run_folder(record.id), decoder, rows)
        self.store.write_run(record)

    def _run_missing_decoders(self) -> None:
        for pack in self.lock.packs:
            for run in pack.runs:
                record = self.store.read_run(run.id)
                if record is not None and record.state == "done":
                    self._decode_more(run, self._missing(record.metrics))

    def _decode_more(self, run: LockedRun, decoders: Sequence[str]) -> None:
        if not decoders:
            return
        folder = self.store.run_folder(run.id)
        scores, predictions = self.worker.run_decoders(
            run, self.store.adapter_folder(run.id), decoders
        )
        for decoder, rows in predictions.items():
            self.store.write_predictions(folder, decoder, rows)
        record = self.store.read_run(run.id)
        assert record is not None
        metrics = {**record.metrics, **scores}
        self.store.write_run(record.model_copy(update={"metrics": metrics}))

    def _summarise(self) -> Results:
        results = summarise(
            self.store, self.lock, self.prepared.plan, self.ids, self.prepared.cards,
            self.prepared.warnings,
        )  # fmt: skip
        self.store.write_results(results)
        return results
