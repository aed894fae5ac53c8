"""Is one run better than another on the same questions? Paired differences and their tests."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import floor, log10

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lorasweep.scoring.stats.clusters import DRAWS, Clusters, Floats, score_matrix, signs
from lorasweep.scoring.stats.intervals import Interval, bootstrap_intervals

# 2^12 sign patterns are fewer than the default number of draws.
MAX_ENUMERATED_CLUSTERS = 12
SIGNIFICANCE = 0.05


@dataclass(frozen=True, kw_only=True)
class Difference(Interval):
    """A mean paired difference a - b with its interval and two-sided permutation p value.

    `adjusted_p_value` is the p value after correction for the comparisons made together with
    this one; None where this is the only one.
    """

    p_value: float
    adjusted_p_value: float | None = None

    @property
    def is_shown(self) -> bool:
        """Return whether interval and (corrected) test both speak for a difference.

        The test alone where there is no interval, as where every cluster has the same difference.
        """
        p_value = self.p_value if self.adjusted_p_value is None else self.adjusted_p_value
        return p_value <= SIGNIFICANCE and (self.excludes_zero or self.low is None)


def paired_difference(
    a: ArrayLike,
    b: ArrayLike,
    clusters: Clusters,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Difference:
    """Compare scores a and b [questions], given to the same questions, as a - b.

    The interval is `bootstrap_intervals`' on the differences, the p value
    `permutation_p_values`'. Raises ValueError for scores that do not fit the clusters.
    """
    (difference,) = _differences(
        score_matrix(a, clusters) - score_matrix(b, clusters), clusters, level, draws, seed
    )
    return difference


def paired_differences(
    scores: ArrayLike,
    reference: ArrayLike,
    clusters: Clusters,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> list[Difference]:
    """Compare each row of scores [runs, questions] with one reference [questions].

    All comparisons share their draws, and their p values are corrected together (`holm`).
    """
    rows = score_matrix(scores, clusters) - score_matrix(reference, clusters)
    differences = _differences(rows, clusters, level, draws, seed)
    adjusted = holm([difference.p_value for difference in differences])
    return [
        replace(difference, adjusted_p_value=float(p))
        for difference, p in zip(differences, adjusted, strict=True)
    ]


def permutation_p_values(
    differences: ArrayLike, clusters: Clusters, draws: int = DRAWS, seed: int = 0
) -> Floats:
    """Return the two-sided paired permutation p value of each row of [rows, questions].

    Were both runs alike, their scores could be swapped, for whole clusters at a time, so each
    cluster's sum of differences d_g might as well have the other sign (Fisher 1935). The p value
    is the share of sign patterns with |sum +-d_g| >= |sum d_g|. As sum d_g^2 is the same for all
    patterns, this is also the test of the studentised mean, and so holds for many clusters even
    where only the means agree (Canay, Romano & Shaikh 2017, doi:10.3982/ECTA13081).

    Clusters without a difference decide nothing; with at most 12 others all patterns are counted.
    Otherwise p = (hits + 1) / (draws + 1) of random ones, which is never 0 and never too small
    (Phipson & Smyth 2010, doi:10.2202/1544-6115.1585).
    """
    sums = clusters.sums(score_matrix(differences, clusters))
    sums[np.abs(sums) <= 1e-12 * np.abs(sums).max(initial=0.0)] = 0.0
    p_values = np.empty(len(sums))
    few = np.count_nonzero(sums, axis=1) <= MAX_ENUMERATED_CLUSTERS
    p_values[few] = [_enumerated_p_value(row[row != 0]) for row in sums[few]]
    if not few.all():
        p_values[~few] = _sampled_p_values(sums[~few], draws, seed)
    return p_values


def mcnemar_exact(a: ArrayLike, b: ArrayLike) -> float:
    """Return McNemar's exact two-sided p value for right or wrong answers a and b [questions].

    The binomial test of the questions that only a has right among those that exactly one has
    right (McNemar 1947, doi:10.1007/BF02295996). It takes questions for independent: a check
    beside the clustered test, not instead of it. Raises ValueError for scores between right and
    wrong, or of different length.
    """
    from scipy.stats import binomtest

    right_a, right_b = _right(a), _right(b)
    if len(right_a) != len(right_b):
        raise ValueError(f"{len(right_a)} answers beside {len(right_b)}")
    only_a = int((right_a & ~right_b).sum())
    only_b = int((right_b & ~right_a).sum())
    if only_a + only_b == 0:
        return 1.0
    return float(binomtest(only_a, only_a + only_b, 0.5).pvalue)


def holm(p_values: Sequence[float] | Floats) -> Floats:
    """Return p values adjusted so that all comparisons together err at most at the level.

    Holm 1979 (jstor.org/stable/4615733): the i-th smallest of m is multiplied by m - i + 1, then
    made monotone and cut at 1. Holds whatever the dependence between the comparisons.
    """
    raw = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(raw, kind="stable")
    factors = np.arange(len(raw), 0, -1)
    adjusted = np.empty_like(raw)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(raw[order] * factors))
    return adjusted


def sentence(
    name_a: str,
    name_b: str,
    metric: str,
    difference: Difference,
    unit: str = "paragraph",
    sign: int = 1,
) -> str:
    """Say in one sentence what a difference (in the unit of the metric) shows.

    `sign` is -1 where a lower score is better.

    A difference is claimed only where the interval excludes zero and the corrected p value is at
    most 0.05.
    """
    basis = (
        f"n = {_count(difference.num_questions, 'question')} "
        f"in {_count(difference.num_clusters, unit)}"
    )
    decimals = _decimals(difference.low, difference.high)
    if difference.is_shown:
        better, worse = (name_a, name_b) if sign * difference.mean > 0 else (name_b, name_a)
        found = f"{better} is {abs(difference.mean):.{decimals}f} {metric} better than {worse}"
    else:
        size = f"{difference.mean:+.{decimals}f} {metric}"
        found = f"{name_a} and {name_b} are not shown to differ: {size}"
    return f"{found}{_certainty(difference)}; {basis}"


def _differences(
    rows: Floats, clusters: Clusters, level: float, draws: int, seed: int
) -> list[Difference]:
    intervals = bootstrap_intervals(rows, clusters, level, draws, seed)
    p_values = permutation_p_values(rows, clusters, draws, seed)
    return [
        Difference(**vars(interval), p_value=float(p))
        for interval, p in zip(intervals, p_values, strict=True)
    ]


def _enumerated_p_value(sums: Floats) -> float:
    patterns = np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums)) & 1
    return float(np.mean(_at_least(np.abs((1 - 2 * patterns) @ sums), abs(sums.sum()))))


def _sampled_p_values(sums: Floats, draws: int, seed: int) -> Floats:
    """Return the p value of each row of cluster sums [rows, clusters]; rows share the signs."""
    observed = np.abs(sums.sum(axis=1))
    hits = np.zeros(len(sums))
    for block in signs(draws, sums.shape[1], seed):
        hits += _at_least(np.abs(block @ sums.T), observed).sum(axis=0)
    return np.asarray((hits + 1) / (draws + 1))


def _at_least(values: Floats, bound: Floats | float) -> NDArray[np.bool_]:
    # Sums of the same numbers in another order differ in the last bits.
    return np.asarray(values >= np.asarray(bound) * (1 - 1e-9) - 1e-12)


def _right(scores: ArrayLike) -> NDArray[np.bool_]:
    values = np.asarray(scores, dtype=np.float64)
    full = values.max(initial=0.0)
    if full not in (0, 1, 100) or not np.isin(values, (0, full)).all():
        raise ValueError("McNemar's test needs scores that are right (1 or 100) or wrong (0)")
    return values > 0


def _certainty(difference: Difference) -> str:
    """Return the interval, or why there is none; and the p value of what is not shown."""
    low, high = difference.low, difference.high
    if low is None or high is None:
        return f": {difference.reason}"
    decimals = _decimals(low, high)
    if difference.is_shown:
        low, high = sorted((abs(low), abs(high)))
    ends = f", {100 * difference.level:g} % interval {low:.{decimals}f} to {high:.{decimals}f}"
    if difference.is_shown:
        return ends
    alone = " of this comparison alone" if difference.excludes_zero else ""
    return f"{ends}{alone}, {_p_value(difference)}"


def _p_value(difference: Difference) -> str:
    if difference.adjusted_p_value is None:
        return f"p = {difference.p_value:.2g}"
    return f"p = {difference.adjusted_p_value:.2g} after correction for all comparisons"


def _decimals(low: float | None, high: float | None) -> int:
    """Return how many decimals show the interval's half width: at least one, as for 0 to 100."""
    half_width = 0.0 if low is None or high is None else (high - low) / 2
    return max(1, -floor(log10(half_width))) if half_width > 0 else 1


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
