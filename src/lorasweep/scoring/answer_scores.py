"""The scores of one decoder's predictions: EM and F1 with intervals, and what draws show."""

import itertools
from collections.abc import Iterable, Sequence

from lorasweep.folder.records import Prediction, Scores
from lorasweep.scoring.metrics import normalise
from lorasweep.scoring.stats.clusters import Clusters
from lorasweep.scoring.stats.intervals import (
    Interval,
    bootstrap_intervals,
    wilson_interval,
    within_marks,
)
from lorasweep.study.sections import Unit


def scores_of(
    predictions: Sequence[Prediction],
    seconds_per_question: float | None,
    samples: bool = False,
    unit: Unit = "paragraph",
) -> Scores:
    """Return mean EM and F1 in 0 to 100, with 95 % intervals by resampling paragraphs or articles.

    Where all marks are 0, or all are 100, the intervals are `within_marks`'.

    A question's draws count as one score, their mean; `samples` says that answers were drawn.
    """
    questions = by_question(predictions)
    clusters = clusters_of(questions, unit)
    marks = [
        [100 * _mean(getattr(p, metric) for p in draws) for draws in questions]
        for metric in ("exact_match", "f1")
    ]
    em, f1_ = (within_marks(each, clusters) for each in bootstrap_intervals(marks, clusters))
    return Scores(
        exact_match=em.mean,
        f1=f1_.mean,
        exact_match_interval=_bounds(em),
        f1_interval=_bounds(f1_),
        clusters=unit,
        f1_design_effect=f1_.design_effect,
        exact_match_wilson_interval=None if samples else _wilson(questions),
        num_questions=len(questions),
        ended_share=_mean(p.ended for p in predictions),
        seconds_per_question=seconds_per_question,
        answer_tokens=_mean(p.num_tokens for p in predictions),
        **(_of_draws(questions) if samples else {}),
    )


def by_question(predictions: Iterable[Prediction]) -> list[list[Prediction]]:
    """Return the draws of each question, questions in the order of their first draws."""
    found: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        found.setdefault(prediction.id, []).append(prediction)
    return list(found.values())


def clusters_of(questions: Iterable[Sequence[Prediction]], unit: Unit) -> Clusters:
    """Return which paragraph, or article, each question belongs to."""
    return Clusters.of([getattr(draws[0], unit) for draws in questions])


def _wilson(questions: Sequence[Sequence[Prediction]]) -> tuple[float, float]:
    right = sum(draws[0].exact_match > 0 for draws in questions)
    low, high = wilson_interval(right, len(questions))
    return 100 * low, 100 * high


def _of_draws(questions: Sequence[Sequence[Prediction]]) -> dict[str, float | None]:
    """Return what only several draws of a question can show."""
    texts = [[normalise(p.prediction) for p in draws] for draws in questions]
    pairs = [a == b for draws in texts for a, b in itertools.combinations(draws, 2)]
    return {
        "best_of_n_exact_match": 100 * _mean(max(p.exact_match for p in q) for q in questions),
        "best_of_n_f1": 100 * _mean(max(p.f1 for p in q) for q in questions),
        "distinct_answers": _mean(len(set(draws)) for draws in texts),
        "agreement": _mean(pairs) if pairs else None,
    }


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


def _bounds(interval: Interval) -> tuple[float, float] | None:
    """Return the ends; one paragraph, or the same marks in all of them, have none."""
    if interval.low is None or interval.high is None:
        return None
    return interval.low, interval.high
