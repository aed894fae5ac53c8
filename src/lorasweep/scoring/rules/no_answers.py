"""Scores where some questions have no answer, by SQuAD v2.0's evaluate-v2.0.py (arXiv:1806.03822).

Marks of questions come in; totals with their parts, and thresholds for "no answer", go out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Metric = Literal["exact", "f1"]
METRICS: tuple[Metric, ...] = ("exact", "f1")
# An answer counts as "none" where the probability of no answer is greater.
THRESHOLD = 1.0


@dataclass(frozen=True, slots=True)
class Marked:
    """A question's marks, 0 to 1, and what decides whether its answer counts.

    `has_answer` says that it has references, `is_answered` that the answer is not "": one of spaces
    is, as in the script.
    """

    exact: float
    f1: float
    has_answer: bool
    is_answered: bool
    no_answer_probability: float = 0.0

    def mark(self, metric: Metric, threshold: float = THRESHOLD) -> float:
        """Return its mark, where an answer less sure than the threshold is taken back."""
        if self.no_answer_probability > threshold:
            return float(not self.has_answer)
        return self.exact if metric == "exact" else self.f1


def totals(questions: Sequence[Marked], threshold: float = THRESHOLD) -> dict[str, float]:
    """Return exact, f1 (0 to 100) and total: of all, with answers (HasAns_), without (NoAns_).

    A part that has no question is left out. Raises ValueError where there is no question.
    """
    if not questions:
        raise ValueError("there are no questions")
    parts = (
        ("", questions),
        ("HasAns_", [question for question in questions if question.has_answer]),
        ("NoAns_", [question for question in questions if not question.has_answer]),
    )
    return {key: value for name, part in parts if part for key, value in _of(name, part, threshold)}


def best(questions: Sequence[Marked]) -> dict[str, float]:
    """Return best_exact and best_f1, 0 to 100, and the thresholds that give them.

    They are picked on the questions that they are then scored on, so they flatter: a threshold of
    `best_threshold` on training questions beside them does not.
    """
    found: dict[str, float] = {}
    for metric in METRICS:
        score, threshold = _climb(questions, metric)
        found |= {f"best_{metric}": score, f"best_{metric}_thresh": threshold}
    return found


def best_threshold(training: Sequence[Marked], metric: Metric) -> float:
    """Return the threshold at which a metric is highest, to be used on other questions."""
    return _climb(training, metric)[1]


def with_thresholds_of(
    training: Sequence[Marked], questions: Sequence[Marked]
) -> dict[str, dict[str, float]]:
    """Return by metric the totals of questions at the threshold that is best in training."""
    found: dict[str, dict[str, float]] = {}
    for metric in METRICS:
        threshold = best_threshold(training, metric)
        found[metric] = {"threshold": threshold, **totals(questions, threshold)}
    return found


def _of(name: str, part: Sequence[Marked], threshold: float) -> Iterator[tuple[str, float]]:
    for metric in METRICS:
        total = sum(question.mark(metric, threshold) for question in part)
        yield f"{name}{metric}", 100.0 * total / len(part)
    yield f"{name}total", len(part)


def _climb(questions: Sequence[Marked], metric: Metric) -> tuple[float, float]:
    """Return the highest score and its threshold, the script's own way.

    From "no question is answered" on, answers count one after another, by rising probability of no
    answer; those of equal probability in the order that they came in.
    """
    score: float = sum(not question.has_answer for question in questions)
    highest, threshold = score, 0.0
    for question in sorted(questions, key=lambda question: question.no_answer_probability):
        if question.has_answer:
            score += question.mark(metric, threshold=float("inf"))
        elif question.is_answered:
            score -= 1
        if score > highest:
            highest, threshold = score, question.no_answer_probability
    return 100.0 * highest / len(questions), threshold
