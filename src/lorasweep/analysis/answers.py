"""The scores of all finished runs on the same questions, as matrices."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lorasweep.findings import BASE
from lorasweep.records import Prediction, Results, RunRecord, scores_of
from lorasweep.stats import Clusters
from lorasweep.stats.clusters import Floats
from lorasweep.store import Store


@dataclass(frozen=True)
class Answers:
    """The answers of one decoder: finished runs, and the base model where it has answered.

    `f1` and `exact_match` are [runs, questions] from 0 to 100, with a last row for the base model
    if `base` holds its answers. All rows are in the order of the questions.
    """

    runs: tuple[RunRecord, ...]
    names: dict[str, str]
    predictions: tuple[Sequence[Prediction], ...]
    base: Sequence[Prediction]
    notes: tuple[str, ...]

    @cached_property
    def clusters(self) -> Clusters:
        """The questions by paragraph."""
        return Clusters.of([row.paragraph for row in self.predictions[0]])

    @cached_property
    def f1(self) -> Floats:
        """F1 of every answer."""
        return np.array([[100 * row.f1 for row in rows] for rows in self._all])

    @cached_property
    def exact_match(self) -> Floats:
        """Exact match of every answer."""
        return np.array([[100 * row.exact_match for row in rows] for rows in self._all])

    @cached_property
    def f1_of_runs(self) -> Floats:
        """F1 of the runs' answers, without the base model's: [runs, questions]."""
        return self.f1[: len(self.runs)]

    @cached_property
    def ranking(self) -> list[int]:
        """The rows of the runs from the highest F1 to the lowest; equal ones in their order."""
        return [int(row) for row in np.argsort(-self.f1_of_runs.mean(axis=1), kind="stable")]

    @property
    def ids(self) -> list[str]:
        """The id of every row; `BASE` for the base model."""
        return [run.id for run in self.runs] + ([BASE] if self.base else [])

    @property
    def _all(self) -> list[Sequence[Prediction]]:
        return [*self.predictions, *([self.base] if self.base else [])]

    def name(self, row: int) -> str:
        """Return what people call a row."""
        return self.names.get(self.ids[row], "the base model")


def answers_of(store: Store, results: Results, decoder: str) -> Answers:
    """Read the answers of finished runs; notes name the runs that cannot be compared.

    The first run with answers decides the questions and their order.
    """
    runs: list[RunRecord] = []
    predictions: list[Sequence[Prediction]] = []
    notes = []
    for run in results.runs:
        if run.state != "done" or scores_of(run.metrics, decoder) is None:
            continue
        rows = store.read_predictions(store.run_folder(run.id), decoder)
        aligned = _aligned(rows, predictions[0] if predictions else rows)
        if aligned:
            runs.append(run)
            predictions.append(aligned)
        else:
            lack = "answered other questions" if rows else "left no predictions"
            notes.append(f"{results.names[run.id]} {lack} and is not compared.")
    base = store.read_predictions(store.base_folder, decoder)
    aligned_base = _aligned(base, predictions[0]) if predictions else []
    if not aligned_base:
        notes.append("The base model has no answers to the same questions to compare with.")
    return Answers(tuple(runs), results.names, tuple(predictions), aligned_base, tuple(notes))


def _aligned(rows: Sequence[Prediction], reference: Sequence[Prediction]) -> Sequence[Prediction]:
    """Return the rows in the order of the reference; none where the questions are others."""
    by_id = {row.id: row for row in rows}
    if by_id.keys() != {row.id for row in reference}:
        return []
    return [by_id[row.id] for row in reference]
