"""Confidence intervals for mean scores: cluster bootstrap, and Wilson's for plain shares."""

from dataclasses import dataclass, replace
from math import sqrt
from statistics import NormalDist
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from lorasweep.scoring.stats.clusters import (
    DRAWS,
    Clusters,
    Floats,
    bootstrap_means,
    cluster_variances,
    means,
    score_matrix,
)

NORMAL = NormalDist()
ONE_CLUSTER = "all questions belong to one cluster, which shows no spread between clusters"
# Resampling cannot tell the spread of fewer: the interval of two clusters would be their two means.
FEWEST_TO_RESAMPLE = 5
NO_SPREAD = "the mean is the same in every cluster, so drawing clusters again shows no spread"


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean and its confidence interval, in the unit of the scores.

    `low` and `high` are None where no interval can be given, and `reason` then says why.
    `design_effect` is the variance under sampling of clusters over that under simple random
    sampling of questions (Kish 1965, section 8.2); None where either cannot be had.
    """

    mean: float
    low: float | None
    high: float | None
    level: float
    num_questions: int
    num_clusters: int
    design_effect: float | None
    reason: str = ""

    @property
    def excludes_zero(self) -> bool:
        """Return whether there is an interval and it lies on one side of zero."""
        return self.low is not None and self.high is not None and self.low * self.high > 0


Bounded = TypeVar("Bounded", bound=Interval)


def bootstrap_interval(
    scores: ArrayLike, clusters: Clusters, level: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """Return the mean of scores [questions] and its cluster bootstrap interval.

    See `bootstrap_intervals`, which gives the same for many runs at once.
    """
    (interval,) = bootstrap_intervals(scores, clusters, level, draws, seed)
    return interval


def bootstrap_intervals(
    scores: ArrayLike, clusters: Clusters, level: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> list[Interval]:
    """Return the interval of each row of scores [rows, questions], all from the same draws.

    The ends are quantiles of the drawn means (`clusters.bootstrap_means`), corrected twice:

    - for few clusters: the normal quantile z becomes sqrt(G / (G - 1)) * t with G - 1 degrees of
      freedom (the expanded percentile interval; Hesterberg 2015,
      doi:10.1080/00031305.2015.1089789);
    - for skewness: they are taken at Phi(a + (a +- z) / (1 - a * (a +- z))), the BCa levels (Efron
      1987, doi:10.1080/01621459.1987.10478410) with the acceleration a of the clusters' influences,
      and the bias correction z0 = a, which holds to second order for a mean and has no noise.

    In simulations of clustered scores (nominal 95 %) plain percentiles covered 82 to 83 % with 5
    clusters, 90 % with 10, 92 to 93 % with 20, and 87 % with 20 where the accuracy was 6 %; these
    corrected ones 90 to 92, 95, 95 and 94 %. The bootstrap-t covers as well, but its ends run away
    where a draw happens to have no variance. Two to four clusters are too few to draw from: their
    ends are mean -+ t times the linearised error, which may leave the range of scores.

    Raises ValueError for scores that do not fit the clusters.
    """
    if not 0 < level < 1:
        raise ValueError(f"level = {level}: a confidence level lies between 0 and 1")
    matrix = score_matrix(scores, clusters)
    means_of_rows = means(matrix)
    ends = _ends(matrix, clusters, level, draws, seed)
    effects = design_effects(matrix, clusters)
    return [
        Interval(
            mean=float(mean),
            low=low,
            high=high,
            level=level,
            num_questions=clusters.num_questions,
            num_clusters=clusters.num_clusters,
            design_effect=effect,
            reason=reason,
        )
        for mean, (low, high, reason), effect in zip(means_of_rows, ends, effects, strict=True)
    ]


def within(interval: Bounded, least: float, most: float) -> Bounded:
    """Return the interval cut to the values that the mean can have."""
    if interval.low is None or interval.high is None:
        return interval
    return replace(interval, low=max(least, interval.low), high=min(most, interval.high))


def within_marks(interval: Interval, clusters: Clusters) -> Interval:
    """Return a mean mark's interval cut to 0 to 100, and one where all marks are 0, or all 100.

    There resampling shows no spread, but the mean can only be 0 where every mark is 0: of G
    clusters that are drawn, all show that with a chance of at most (1 - mean / 100)^G. That is the
    binomial's, so the interval is Wilson's with the clusters as trials, the fewest that questions
    in clusters can be worth.
    """
    found = within(interval, 0.0, 100.0)
    is_end = abs(found.mean) < 1e-9 or abs(found.mean - 100) < 1e-9
    if found.reason != NO_SPREAD or not is_end:
        return found
    num_right = clusters.num_clusters if found.mean > 50 else 0
    low, high = wilson_interval(num_right, clusters.num_clusters, found.level)
    return replace(found, low=100 * low, high=100 * high, reason="")


def wilson_interval(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval for a share of n independent trials, from 0 to 1.

    Wilson 1927, doi:10.1080/01621459.1927.10502953: (p + z^2/2n +- z * sqrt(p * (1 - p) / n +
    z^2/4n^2)) / (1 + z^2/n). It holds for independent trials only, so for clustered questions it
    is too narrow, but unlike resampling it also answers where no trial or every one succeeds.
    Raises ValueError unless 0 <= successes <= n and n > 0.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes in {n} trials")
    z = NORMAL.inv_cdf((1 + level) / 2)
    share = successes / n
    centre = share + z**2 / (2 * n)
    half_width = z * sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    low, high = (centre - half_width) / scale, (centre + half_width) / scale
    return max(0.0, min(low, share)), min(1.0, max(high, share))


def design_effects(matrix: Floats, clusters: Clusters) -> list[float | None]:
    """Return the design effect of each row of [rows, questions], None where it is undefined."""
    if clusters.num_clusters == 1:
        return [None] * len(matrix)
    simple = matrix.var(axis=1, ddof=1) / clusters.num_questions
    clustered = cluster_variances(matrix, clusters)
    varied = np.ptp(matrix, axis=1) > rounding_of(matrix)
    return [float(c / s) if v else None for c, s, v in zip(clustered, simple, varied, strict=True)]


def student_quantile(probability: float, degrees: int) -> float:
    """Return the quantile of Student's t distribution with some degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, probability))


def _ends(
    matrix: Floats, clusters: Clusters, level: float, draws: int, seed: int
) -> list[tuple[float | None, float | None, str]]:
    """Return (low, high, "") for each row, or (None, None, why there is no interval)."""
    if clusters.num_clusters == 1:
        return [(None, None, ONE_CLUSTER)] * len(matrix)
    if clusters.num_clusters < FEWEST_TO_RESAMPLE:
        errors = np.sqrt(cluster_variances(matrix, clusters))
        found = zip(means(matrix), errors, rounding_of(matrix), strict=True)
        return [student_ends(*each, clusters.num_clusters, level) for each in found]
    drawn = bootstrap_means(matrix, clusters, draws, seed)
    influences = clusters.sums(matrix - means(matrix)[:, None])
    z = expanded_quantile(level, clusters.num_clusters)
    rounding = rounding_of(matrix) * clusters.num_questions
    return [
        row_ends(means_of_row, influence, z, noise)
        for means_of_row, influence, noise in zip(drawn.T, influences, rounding, strict=True)
    ]


def student_ends(
    mean: float, error: float, noise: float, num_clusters: int, level: float
) -> tuple[float | None, float | None, str]:
    """Return mean -+ t * error with G - 1 degrees of freedom, or why there is no interval."""
    if error <= noise:
        return None, None, NO_SPREAD
    half_width = student_quantile((1 + level) / 2, num_clusters - 1) * error
    return float(mean - half_width), float(mean + half_width), ""


def row_ends(
    drawn: Floats, influence: Floats, z: float, noise: float
) -> tuple[float | None, float | None, str]:
    """Return (low, high, "") of drawn means [draws], or (None, None, why there is no interval).

    `influence` [clusters] is what each cluster adds to the mean, on any scale on which `noise` is
    what rounding leaves; `z` is the quantile to take.
    """
    if np.abs(influence).max() <= noise:
        return None, None, NO_SPREAD
    low, high = np.quantile(drawn, _quantile_levels(influence, z))
    return float(low), float(high), ""


def _quantile_levels(influence: Floats, z: float) -> tuple[float, float]:
    """Return the lower and upper BCa levels for one row's influences [clusters]."""
    a = float((influence**3).sum() / (6 * (influence**2).sum() ** 1.5))

    def level(centred: float) -> float:
        # Beyond the pole, which only extreme levels reach, the level is 0 or 1.
        return NORMAL.cdf(a + centred / max(1 - a * centred, 1e-9))

    return level(a - z), level(a + z)


def expanded_quantile(level: float, num_clusters: int) -> float:
    """Return sqrt(G / (G - 1)) times Student's quantile: the normal's z for infinitely many."""
    student = student_quantile((1 + level) / 2, num_clusters - 1)
    return sqrt(num_clusters / (num_clusters - 1)) * student


def rounding_of(matrix: Floats) -> Floats:
    """Return what rounding may leave of equal scores in each row."""
    return np.asarray(1e-12 * np.abs(matrix).max(axis=1))
