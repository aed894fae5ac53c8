"""Scores that records lack: of the base model, of runs that are done, on either set."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lorasweep.folder.records import BaseRecord, RunRecord
from lorasweep.folder.run_files import RunFiles
from lorasweep.folder.scores import EVAL_LOSS, Scores
from lorasweep.folder.store import Store
from lorasweep.folder.sums import LOSSES, predictions_name, sums_of
from lorasweep.running.worker.jobs import Scored
from lorasweep.running.worker.worker import Worker

R = TypeVar("R", BaseRecord, RunRecord)


@dataclass(frozen=True)
class MissingScores:
    """Scores what records lack by a study's decoders, or claim without files that are sound.

    Each metric is kept at once. `worker` is called when the first thing is to be computed; `lanes`
    adapters answer together; `role` is "eval" or "test".
    """

    store: Store
    decoders: Sequence[str]
    worker: Callable[[], Worker]
    lanes: int

    def of_base(self, role: str) -> None:
        """Compute the metrics of the base model that its record lacks."""
        record = self.store.read_base() or self.worker().base_record()
        missing = self._missing(record, self.store.of_base, role)
        for (scored,) in self.worker().score_base(missing, role) if missing else ():
            record = self._keep(record, scored, role)

    def of_runs(self, runs: Iterable[RunRecord], role: str) -> None:
        """Compute the metrics of finished runs that their records lack, in lockstep."""
        alike: dict[tuple[bool, tuple[str, ...]], list[RunRecord]] = {}
        for run in runs:
            missing = tuple(self._missing(run, self.store.of_run(run.id), role))
            alike.setdefault((run.configuration.method == "full", missing), []).append(run)
        for (is_full, missing), lacking in alike.items():
            lanes = 1 if is_full else self.lanes
            for first in range(0, len(lacking) if missing else 0, lanes):
                self._score(lacking[first : first + lanes], missing, role)

    def _score(self, runs: list[RunRecord], missing: Sequence[str], role: str) -> None:
        """Score runs that lack the same, and can be lanes of one model."""
        for scored in self._from_disk(runs, missing, role):
            runs = [self._keep(run, one, role) for run, one in zip(runs, scored, strict=True)]

    def _missing(self, record: BaseRecord | RunRecord, files: RunFiles, role: str) -> list[str]:
        """Return the metrics to compute: those that are not there, or whose files are not."""
        metrics = metrics_in(record, role)
        claimed = [name for name, found in metrics.items() if isinstance(found, Scores)]
        missing = [
            name
            for name in dict.fromkeys([*self.decoders, *claimed])
            if name not in metrics or not files.has_predictions(name, role)
        ]
        has_losses = EVAL_LOSS in metrics and (role == "test" or files.has_losses())
        return missing if has_losses else [*missing, EVAL_LOSS]

    def _from_disk(
        self, runs: Sequence[RunRecord], missing: Sequence[str], role: str
    ) -> Iterator[list[Scored]]:
        folders = [self.store.sound_weights(run) for run in runs]
        if runs[0].configuration.method == "full":
            return self.worker().score_model(runs[0], folders[0], missing, role)
        return self.worker().score_adapters(runs, folders, missing, role)

    def _keep(self, record: R, scored: Scored, role: str) -> R:
        """Write what was scored, then the record; a kill between leaves nothing that passes."""
        files = self._files(record)
        names = _names_of(scored, role)
        if record.files.keys() & set(names):
            self._write(with_sums(record, dict.fromkeys(names, "")))
        write_scored(files, scored, role)
        record = with_sums(record, sums_of(files.folder, names))
        record = with_metrics(record, role, scored.metrics)
        self._write(record)
        return record

    def _files(self, record: BaseRecord | RunRecord) -> RunFiles:
        if isinstance(record, BaseRecord):
            return self.store.of_base
        return self.store.of_run(record.id)

    def _write(self, record: BaseRecord | RunRecord) -> None:
        if isinstance(record, BaseRecord):
            self.store.write_base(record)
        else:
            self.store.write_run(record)


def _names_of(scored: Scored, role: str) -> list[str]:
    """Return the files that scores are kept in."""
    answers = [predictions_name(decoder, role) for decoder in scored.predictions]
    in_json = [Path(name).with_suffix(".json").as_posix() for name in answers]
    return [*([LOSSES] if scored.losses else []), *answers, *in_json]


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
    """Return the record with more metrics on the evaluation or test set; a loss it has stays."""
    before = metrics_in(record, role)
    losses = {name: value for name, value in before.items() if name == EVAL_LOSS}
    joined = before | found | losses
    return record.model_copy(update={"metrics" if role == "eval" else "test_metrics": joined})


def with_sums(record: R, sums: dict[str, str]) -> R:
    """Return the record with other sums for some of its files."""
    return record.model_copy(update={"files": record.files | sums})
