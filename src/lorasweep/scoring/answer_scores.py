"""The scores of one decoder's predictions: means with intervals, and what draws show."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Self

from lorasweep.folder.scores import Prediction, Score, Scores
from lorasweep.scoring.metrics import normalise
from lorasweep.scoring.stats.clusters import Clusters
from lorasweep.scoring.stats.intervals import (
    Interval,
    bootstrap_intervals,
    wilson_interval,
    within_marks,
)
from lorasweep.study.scorers import kind_of
from lorasweep.study.sections import Evaluate, Unit

# What a score that is no share may be.
UNBOUNDED = 1.0


@dataclass(frozen=True, slots=True)
class Scoring:
    """By which scorer runs are ranked, and what intervals resample."""

    rank_by: str = "f1"
    unit: Unit = "paragraph"

    @classmethod
    def of(cls, evaluate: Evaluate) -> Self:
        """Return how a study says that answers are scored."""
        return cls(evaluate.rank_by, evaluate.clusters)


def factor_of(scorer: str) -> float:
    """Return what a scorer's numbers are multiplied by for people: shares are told as points."""
    kind = kind_of(scorer)
    return 100.0 if kind is not None and kind.is_share else UNBOUNDED


def sign_of(scorer: str) -> int:
    """Return -1 for a score that is better where it is lower, else 1."""
    kind = kind_of(scorer)
    return -1 if kind is not None and not kind.higher_is_better else 1


def scores_of(
    predictions: Sequence[Prediction],
    seconds_per_question: float | None,
    samples: bool = False,
    how: Scoring = Scoring(),
) -> Scores:
    """Return mean scores, with 95 % intervals by resampling groups or sources.

    Shares are points of 0 to 100; where all of them are 0, or all are 100, the intervals are
    `within_marks`'. An example's draws count as one score, their mean; `samples` says that answers
    were drawn.
    """
    examples = by_question(predictions)
    clusters = clusters_of(examples, how.unit)
    names = list(predictions[0].scores)
    intervals = bootstrap_intervals([marks_of(examples, name) for name in names], clusters)
    return Scores(
        rank_by=how.rank_by,
        scores={
            name: _score(name, interval, clusters, examples, samples)
            for name, interval in zip(names, intervals, strict=True)
        },
        clusters=how.unit,
        num_questions=len(examples),
        ended_share=_mean(p.ended for p in predictions),
        seconds_per_question=seconds_per_question,
        answer_tokens=_mean(p.num_tokens for p in predictions),
        **(_of_draws(examples) if samples else {}),
    )


def by_question(predictions: Iterable[Prediction]) -> list[list[Prediction]]:
    """Return the draws of each example, examples in the order of their first draws."""
    found: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        found.setdefault(prediction.id, []).append(prediction)
    return list(found.values())


def clusters_of(questions: Iterable[Sequence[Prediction]], unit: Unit) -> Clusters:
    """Return which group, or source, each example belongs to."""
    return Clusters.of([getattr(draws[0], unit) for draws in questions])


def marks_of(examples: Iterable[Sequence[Prediction]], scorer: str) -> list[float]:
    """Return the mean score of each example's draws, in points where it is a share."""
    factor = factor_of(scorer)
    return [factor * fmean(p.scores[scorer] for p in draws) for draws in examples]


def _score(
    name: str,
    interval: Interval,
    clusters: Clusters,
    examples: Sequence[Sequence[Prediction]],
    samples: bool,
) -> Score:
    is_share = factor_of(name) != UNBOUNDED
    found = within_marks(interval, clusters) if is_share else interval
    best = _mean(max(p.scores[name] for p in draws) for draws in examples) if samples else None
    return Score(
        mean=found.mean,
        interval=_bounds(found),
        design_effect=found.design_effect,
        wilson_interval=None if samples or not is_share else _wilson(name, examples),
        best_of_n=None if best is None else factor_of(name) * best,
    )


def _wilson(name: str, examples: Sequence[Sequence[Prediction]]) -> tuple[float, float] | None:
    """Return the interval of a share of right answers; None where some are partly right."""
    marks = [draws[0].scores[name] for draws in examples]
    if any(mark not in (0.0, 1.0) for mark in marks):
        return None
    low, high = wilson_interval(sum(mark > 0 for mark in marks), len(marks))
    return 100 * low, 100 * high


def _of_draws(examples: Sequence[Sequence[Prediction]]) -> dict[str, float | None]:
    """Return what only several draws of an example can show."""
    texts = [[normalise(p.prediction) for p in draws] for draws in examples]
    pairs = [a == b for draws in texts for a, b in itertools.combinations(draws, 2)]
    return {
        "distinct_answers": _mean(len(set(draws)) for draws in texts),
        "agreement": _mean(pairs) if pairs else None,
    }


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


def _bounds(interval: Interval) -> tuple[float, float] | None:
    """Return the ends; one cluster, or the same marks in all of them, have none."""
    if interval.low is None or interval.high is None:
        return None
    return interval.low, interval.high
