"""Scores that records lack: of the base model, of runs that are done, on either set."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from lorasweep.folder.records import EVAL_LOSS, BaseRecord, RunRecord, Scores
from lorasweep.folder.run_files import RunFiles
from lorasweep.folder.store import Store
from lorasweep.running.worker.jobs import Scored
from lorasweep.running.worker.worker import Worker

R = TypeVar("R", BaseRecord, RunRecord)


@dataclass(frozen=True)
class MissingScores:
    """Scores by a study's decoders what a folder's records lack, and keeps each metric at once.

    `worker` is called when the first thing is to be computed; `role` is "eval" or "test".
    """

    store: Store
    decoders: Sequence[str]
    worker: Callable[[], Worker]

    def of_base(self, role: str) -> None:
        """Compute the metrics of the base model that its record lacks."""
        record, files = self.store.read_base() or self.worker().base_record(), self.store.of_base
        missing = self._missing(metrics_in(record, role), files, role)
        for scored in self.worker().score_base(missing, role) if missing else ():
            write_scored(files, scored, role)
            record = with_metrics(record, role, scored.metrics)
            self.store.write_base(record)

    def of_run(self, record: RunRecord, role: str) -> None:
        """Compute the metrics of a finished run that its record lacks."""
        files = self.store.of_run(record.id)
        missing = self._missing(metrics_in(record, role), files, role)
        for scored in self._from_disk(record, files, missing, role) if missing else ():
            write_scored(files, scored, role)
            record = with_metrics(record, role, scored.metrics)
            self.store.write_run(record)

    def _missing(
        self, metrics: Mapping[str, Scores | float], files: RunFiles, role: str
    ) -> list[str]:
        """Return the metrics to compute; the loss is one while losses.json is not there."""
        missing = [name for name in self.decoders if name not in metrics]
        has_losses = role == "test" or files.read_losses() is not None
        return missing if EVAL_LOSS in metrics and has_losses else [*missing, EVAL_LOSS]

    def _from_disk(
        self, run: RunRecord, files: RunFiles, missing: Sequence[str], role: str
    ) -> Iterator[Scored]:
        worker = self.worker()
        if run.configuration.method == "full":
            return worker.score_model(run, files.model_folder, missing, role)
        return worker.score_adapter(run, files.adapter_folder, missing, role)


def write_scored(files: RunFiles, scored: Scored, role: str = "eval") -> None:
    """Write losses and predictions into the folder of the model that has them."""
    if scored.losses is not None:
        files.write_losses(scored.losses)
    for decoder, rows in scored.predictions.items():
        files.write_predictions(decoder, rows, role)


def metrics_in(record: BaseRecord | RunRecord, role: str) -> dict[str, Scores | float]:
    """Return a record's metrics on the evaluation or test set."""
    return record.metrics if role == "eval" else record.test_metrics


def with_metrics(record: R, role: str, found: dict[str, Scores | float]) -> R:
    """Return the record with more metrics on the evaluation or test set; what it has stays."""
    more = found | metrics_in(record, role)
    joined = metrics_in(record, role) | more
    return record.model_copy(update={"metrics" if role == "eval" else "test_metrics": joined})
