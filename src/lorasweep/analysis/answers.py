"""The scores of all finished runs on the same questions, as matrices."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lorasweep.folder.findings import BASE
from lorasweep.folder.records import Results, RunRecord
from lorasweep.folder.scores import Prediction, scores_of
from lorasweep.folder.store import Store
from lorasweep.scoring.answer_scores import by_question, clusters_of, marks_of, sign_of
from lorasweep.scoring.stats.clusters import Clusters, Floats
from lorasweep.scoring.stats.confidence_set import TiedBest, tied_best
from lorasweep.study.sections import Unit

# The draws of every question; a decoder that does not sample gives one.
Questions = Sequence[Sequence[Prediction]]


@dataclass(frozen=True)
class Answers:
    """The answers of one decoder: finished runs, and the base model where it has answered.

    `marks` of a scorer are [runs, examples], in points where it is a share, with a last row for the
    base model if `base` holds its answers; an example's score is the mean of its draws. All rows
    are in the order of the examples, and `unit` is what is taken for independent.
    """

    runs: tuple[RunRecord, ...]
    names: dict[str, str]
    predictions: tuple[Questions, ...]
    base: Questions
    notes: tuple[str, ...]
    unit: Unit
    rank_by: str = "f1"

    @cached_property
    def clusters(self) -> Clusters:
        """The questions by paragraph, or by article."""
        return clusters_of(self.predictions[0], self.unit)

    def marks(self, scorer: str) -> Floats:
        """Return a scorer's mark of every example."""
        if scorer not in self._marks:
            self._marks[scorer] = np.array([marks_of(each, scorer) for each in self._all])
        return self._marks[scorer]

    @property
    def rank(self) -> Floats:
        """The marks that rank."""
        return self.marks(self.rank_by)

    @property
    def others(self) -> list[str]:
        """The scorers beside the one that ranks."""
        return [name for name in self.predictions[0][0][0].scores if name != self.rank_by]

    @property
    def rank_of_runs(self) -> Floats:
        """The marks that rank, without the base model's: [runs, examples]."""
        return self.rank[: len(self.runs)]

    @cached_property
    def ranking(self) -> list[int]:
        """The rows of the runs from the best to the worst; equal ones in their order."""
        worst_last = -sign_of(self.rank_by) * self.rank_of_runs.mean(axis=1)
        return [int(row) for row in np.argsort(worst_last, kind="stable")]

    @cached_property
    def tied_best(self) -> TiedBest:
        """The best run, what ties with it, and how far all else lies behind: decided once."""
        higher_is_better = sign_of(self.rank_by) * self.rank
        return tied_best(higher_is_better, self.clusters, apart=len(self.rank) - len(self.runs))

    @property
    def ids(self) -> list[str]:
        """The id of every row; `BASE` for the base model."""
        return [run.id for run in self.runs] + ([BASE] if self.base else [])

    @cached_property
    def _marks(self) -> dict[str, Floats]:
        """The marks that were asked for, which take a pass over all answers."""
        return {}

    @property
    def _all(self) -> list[Questions]:
        return [*self.predictions, *([self.base] if self.base else [])]

    def name(self, row: int) -> str:
        """Return what people call a row."""
        return self.names.get(self.ids[row], "the base model")


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
    return Answers(
        runs, results.names, predictions, aligned_base, tuple(notes), unit, results.rank_by
    )


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
