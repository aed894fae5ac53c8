"""The scores of all finished runs on the same questions, as matrices."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

import numpy as np

from lorasweep.answer_scores import by_question, clusters_of
from lorasweep.findings import BASE
from lorasweep.records import Prediction, Results, RunRecord, scores_of
from lorasweep.stats import Clusters
from lorasweep.stats.clusters import Floats
from lorasweep.store import Store
from lorasweep.study import Unit

# The draws of every question; a decoder that does not sample gives one.
Questions = Sequence[Sequence[Prediction]]


@dataclass(frozen=True)
class Answers:
    """The answers of one decoder: finished runs, and the base model where it has answered.

    `f1` and `exact_match` are [runs, questions] from 0 to 100, with a last row for the base model
    if `base` holds its answers; a question's score is the mean of its draws. All rows are in the
    order of the questions, and `unit` is what is taken for independent.
    """

    runs: tuple[RunRecord, ...]
    names: dict[str, str]
    predictions: tuple[Questions, ...]
    base: Questions
    notes: tuple[str, ...]
    unit: Unit

    @cached_property
    def clusters(self) -> Clusters:
        """The questions by paragraph, or by article."""
        return clusters_of(self.predictions[0], self.unit)

    @cached_property
    def f1(self) -> Floats:
        """F1 of every question."""
        return np.array([marks(questions, "f1") for questions in self._all])

    @cached_property
    def exact_match(self) -> Floats:
        """Exact match of every question."""
        return np.array([marks(questions, "exact_match") for questions in self._all])

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
    def _all(self) -> list[Questions]:
        return [*self.predictions, *([self.base] if self.base else [])]

    def name(self, row: int) -> str:
        """Return what people call a row."""
        return self.names.get(self.ids[row], "the base model")


def marks(questions: Questions, metric: str) -> list[float]:
    """Return the mean of each question's draws, 0 to 100."""
    return [100 * fmean(getattr(row, metric) for row in draws) for draws in questions]


def answers_of(store: Store, results: Results, decoder: str, unit: Unit = "paragraph") -> Answers:
    """Read the answers of finished runs; notes name the runs that cannot be compared.

    The first run with answers decides the questions and their order.
    """
    runs: list[RunRecord] = []
    predictions: list[Questions] = []
    notes = []
    for run in results.runs:
        if run.state != "done" or scores_of(run.metrics, decoder) is None:
            continue
        rows = by_question(store.read_predictions(store.run_folder(run.id), decoder))
        aligned = in_order_of(predictions[0] if predictions else rows, rows)
        if aligned:
            runs.append(run)
            predictions.append(aligned)
        else:
            lack = "answered other questions" if rows else "left no predictions"
            notes.append(f"{results.names[run.id]} {lack} and is not compared.")
    base = by_question(store.read_predictions(store.base_folder, decoder))
    aligned_base = in_order_of(predictions[0], base) if predictions else []
    if not aligned_base:
        notes.append("The base model has no answers to the same questions to compare with.")
    return Answers(tuple(runs), results.names, tuple(predictions), aligned_base, tuple(notes), unit)


def in_order_of(reference: Questions, questions: Questions) -> Questions:
    """Return the questions in the order of the reference; none where they are others."""
    by_id = {draws[0].id: draws for draws in questions}
    if by_id.keys() != {draws[0].id for draws in reference}:
        return []
    return [by_id[draws[0].id] for draws in reference]
