"""The scores of all finished runs on the same questions, as matrices."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

import numpy as np

from lorasweep.folder.findings import BASE
from lorasweep.folder.records import Prediction, Results, RunRecord, scores_of
from lorasweep.folder.store import Store
from lorasweep.scoring.answer_scores import by_question, clusters_of
from lorasweep.scoring.stats.clusters import Clusters, Floats
from lorasweep.scoring.stats.confidence_set import TiedBest, tied_best
from lorasweep.study.sections import Unit

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

    @cached_property
    def tied_best(self) -> TiedBest:
        """The best run by F1, what ties with it, and how far all else lies behind: decided once."""
        return tied_best(self.f1, self.clusters, apart=len(self.f1) - len(self.runs))

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

    The questions are those that most runs answered, in the order of the first of these.
    """
    scored = [
        run
        for run in results.runs
        if run.state == "done" and scores_of(run.metrics, decoder) is not None
    ]
    read = {run.id: by_question(store.of_run(run.id).read_predictions(decoder)) for run in scored}
    reference = _answered_by_most(read.values())
    aligned = {run_id: in_order_of(reference, rows) for run_id, rows in read.items()}
    base = by_question(store.of_base.read_predictions(decoder))
    aligned_base = in_order_of(reference, base) if reference else []
    lacks = {run_id: _lack(read[run_id]) for run_id, rows in aligned.items() if not rows}
    notes = [f"{results.names[run]} {lack} and is not compared." for run, lack in lacks.items()]
    if not aligned_base:
        notes.append("The base model has no answers to the same questions to compare with.")
    runs = tuple(run for run in scored if aligned[run.id])
    predictions = tuple(aligned[run.id] for run in runs)
    return Answers(runs, results.names, predictions, aligned_base, tuple(notes), unit)


def _lack(questions: Questions) -> str:
    return "answered other questions" if questions else "left no predictions"


def _answered_by_most(answers: Iterable[Questions]) -> Questions:
    """Return the questions that most runs answered, as the first of these did; none if none did."""
    first_with: dict[frozenset[str], Questions] = {}
    counts: Counter[frozenset[str]] = Counter()
    for questions in answers:
        ids = frozenset(draws[0].id for draws in questions)
        if ids:
            first_with.setdefault(ids, questions)
            counts[ids] += 1
    return first_with[counts.most_common(1)[0][0]] if counts else []


def in_order_of(reference: Questions, questions: Questions) -> Questions:
    """Return the questions in the order of the reference; none where they are others."""
    by_id = {draws[0].id: draws for draws in questions}
    if by_id.keys() != {draws[0].id for draws in reference}:
        return []
    return [by_id[draws[0].id] for draws in reference]
