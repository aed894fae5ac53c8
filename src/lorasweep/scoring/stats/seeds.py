"""Spread between seeds beside the uncertainty of the evaluation set."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from lorasweep.scoring.stats.clusters import Clusters, Floats, cluster_variances, score_matrix
from lorasweep.scoring.stats.intervals import NO_SPREAD, ONE_CLUSTER, student_quantile

ONE_SEED = "one seed shows no spread between seeds: the interval holds for this training run only"


@dataclass(frozen=True, kw_only=True)
class SeedSpread:
    """Runs that differ in their seed only: their mean and where its uncertainty comes from.

    `seed_deviation` is the standard deviation between the runs' means (None with one seed),
    `question_error` the standard error of the common mean under sampling of clusters (None with
    one cluster); low and high join both. `reason` says what is missing where something is.
    """

    group: Hashable
    num_seeds: int
    mean: float
    seed_deviation: float | None
    question_error: float | None
    low: float | None
    high: float | None
    level: float
    reason: str = ""


def seed_spreads(
    scores: ArrayLike, groups: Sequence[Hashable], clusters: Clusters, level: float = 0.95
) -> list[SeedSpread]:
    """Return the spread of each group of runs, from scores [runs, questions], in first-seen order.

    With S seeds whose means deviate by s, and the standard error e of the mean over seeds under
    sampling of G clusters, the interval is

        mean +- sqrt((t_{S-1} * s / sqrt(S))^2 + (t_{G-1} * e)^2)

    the two half widths joined in quadrature (Howe 1974; Zou & Donner 2008,
    doi:10.1002/sim.3095), each with Student's quantile for its own degrees of freedom: with two
    seeds t_1 = 12.7 at 95 %, because two runs hardly show a spread. Chance disagreement between
    seeds on single questions is in both parts, so the interval is somewhat too wide, never too
    narrow for it.
    """
    matrix = score_matrix(scores, clusters)
    if len(groups) != len(matrix):
        raise ValueError(f"{len(groups)} groups for {len(matrix)} runs")
    rows: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        rows.setdefault(group, []).append(row)
    return [_spread(group, matrix[members], clusters, level) for group, members in rows.items()]


def _spread(group: Hashable, matrix: Floats, clusters: Clusters, level: float) -> SeedSpread:
    num_seeds = len(matrix)
    by_seed = matrix.mean(axis=1)
    deviation = float(by_seed.std(ddof=1)) if num_seeds > 1 else None
    variance = float(cluster_variances(matrix.mean(axis=0, keepdims=True), clusters)[0])
    error = sqrt(variance) if np.isfinite(variance) else None
    mean = float(by_seed.mean())
    half_width = _half_width(deviation, num_seeds, error, clusters.num_clusters, level)
    if half_width is not None and half_width <= 1e-12 * abs(mean):
        half_width, reason = None, NO_SPREAD
    else:
        reason = ONE_CLUSTER if error is None else ONE_SEED if deviation is None else ""
    return SeedSpread(
        group=group,
        num_seeds=num_seeds,
        mean=mean,
        seed_deviation=deviation,
        question_error=error,
        low=None if half_width is None else mean - half_width,
        high=None if half_width is None else mean + half_width,
        level=level,
        reason=reason,
    )


def _half_width(
    deviation: float | None, num_seeds: int, error: float | None, num_clusters: int, level: float
) -> float | None:
    if error is None:
        return None
    of_questions = _student(level, num_clusters) * error
    if deviation is None:
        return of_questions
    of_seeds = _student(level, num_seeds) * deviation / sqrt(num_seeds)
    return float(np.hypot(of_seeds, of_questions))


def _student(level: float, count: int) -> float:
    return student_quantile((1 + level) / 2, count - 1)
