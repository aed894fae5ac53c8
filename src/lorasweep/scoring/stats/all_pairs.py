"""All pairs of runs at once: how large their largest difference gets by chance alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import floor, sqrt

import numpy as np
from numpy.typing import ArrayLike

from lorasweep.scoring.stats.clusters import DRAWS, Clusters, Floats, score_matrix, signs
from lorasweep.scoring.stats.paired import Difference, paired_differences

TOO_FEW = "so few clusters leave no bound to the difference once it is corrected for the choice"


class AllPairs:
    """Studentised differences between all pairs of rows, and what they are under random signs.

    For rows i and j with differences d_g summed by cluster, `statistics_KK`[i, j] is
    sum d_g / sqrt(sum d_g^2), positive where i falls short of j. Were all runs alike, each
    cluster's differences might as well have the other sign, those of all pairs at once; the
    denominator stays. This is `permutation_p_values`' test, of all pairs in the same draws (a wild
    cluster bootstrap; Cameron, Gelbach & Miller 2008, doi:10.1162/rest.90.3.414), and needs no
    symmetry of the scores themselves. Rows without a difference have the statistic 0.

    Shapes: K rows, G clusters, D draws.
    """

    def __init__(self, matrix: Floats, clusters: Clusters, draws: int, seed: int) -> None:
        self.sums_KG = clusters.sums(matrix)
        totals_K = self.sums_KG.sum(axis=1)
        self.inverse_KK = _inverse_norms(self.sums_KG)
        self.statistics_KK = (totals_K[None, :] - totals_K[:, None]) * self.inverse_KK
        blocks = [block @ self.sums_KG.T for block in signs(draws, clusters.num_clusters, seed)]
        self.drawn_DK = np.concatenate(blocks)

    def largest_drawn(self, rows: Sequence[int]) -> Iterator[Floats]:
        """Yield each draw's largest statistic [D] among the first one, two, ... of the rows."""
        largest_D = np.zeros(len(self.drawn_DK))
        for count, row in enumerate(rows):
            largest_D = np.maximum(largest_D, self.largest_beside(row, rows[:count]))
            yield largest_D

    def largest_beside(self, row: int, others: Sequence[int]) -> Floats:
        """Return each draw's largest statistic [D] between a row and any of the others."""
        beside = list(others)
        apart = np.abs(self.drawn_DK[:, beside] - self.drawn_DK[:, [row]])
        return np.asarray((apart * self.inverse_KK[row, beside]).max(axis=1, initial=0.0))


@dataclass(frozen=True, kw_only=True)
class Steps:
    """What holding every row against a chosen one shows, corrected for the choice.

    `p_values` [rows] are at most 1 - level exactly where the absolute statistic [rows] is above
    its `bounds` [rows].
    """

    chosen: int
    statistics: tuple[float, ...]
    p_values: tuple[float, ...]
    bounds: tuple[float, ...]
    level: float

    @property
    def told_apart(self) -> set[int]:
        """Return the rows that are shown to differ from the chosen one."""
        return {row for row, p in enumerate(self.p_values) if p <= _error(self.level)}


def steps_from_chosen(
    scores: ArrayLike,
    chosen: int,
    clusters: Clusters,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
    apart: int = 0,
) -> Steps:
    """Hold each row of scores [runs, questions] against a row that these very scores chose.

    Whoever picks the best of many equal runs sees many others fall behind it, so that correcting
    for the comparisons with it is not enough: a difference counts where it is larger than the
    largest of any pair gets by chance, whichever two runs are picked (max-T; Westfall & Young
    1993). The pairs are those of the runs that remain: while the one that lies furthest from the
    chosen one is shown to differ, it leaves, and the others face each other alone (step-down;
    Romano & Wolf 2005, doi:10.1198/016214504000000539). A run's p value is the largest of the
    tests up to its own, so what stays is a model confidence set (Hansen, Lunde & Nason 2011), and
    p is the set's own. Its bound is the level's quantile at the test by which it leaves, or at
    which all that are left stay.

    The last `apart` rows are no runs and in no one's way: each is held against the chosen run by
    itself, for the choice among as many pairs as there are runs.
    """  # fmt: skip
    matrix = score_matrix(scores, clusters)
    pairs = AllPairs(matrix, clusters, draws, seed)
    statistics = pairs.statistics_KK[chosen]
    p_values, bounds = np.ones(len(matrix)), np.full(len(matrix), np.inf)
    runs = range(len(matrix) - apart)
    nearest_first = sorted(runs, key=lambda row: (row != chosen, abs(statistics[row])))
    p_values[nearest_first], bounds[nearest_first] = _step_down(
        list(pairs.largest_drawn(nearest_first)), np.abs(statistics[nearest_first]), level
    )
    for row in range(len(runs), len(matrix)):
        largest_D = pairs.largest_beside(row, runs)
        p_values[row] = share_as_large(largest_D, abs(statistics[row]))
        bounds[row] = _bound(largest_D, level)
    return Steps(
        chosen=chosen,
        statistics=tuple(statistics.tolist()),
        p_values=tuple(p_values.tolist()),
        bounds=tuple(bounds.tolist()),
        level=level,
    )


def differences_from_chosen(
    scores: ArrayLike,
    chosen: int,
    clusters: Clusters,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
    apart: int = 0,
) -> list[Difference]:
    """Compare each row of scores [runs, questions] with a row chosen by these very scores.

    See `steps_from_chosen`, and `differences_at` for the intervals.
    """
    steps = steps_from_chosen(scores, chosen, clusters, level, draws, seed, apart)
    return differences_at(steps, scores, clusters, draws, seed)


def differences_at(
    steps: Steps, scores: ArrayLike, clusters: Clusters, draws: int = DRAWS, seed: int = 0
) -> list[Difference]:
    """Return each row's difference from the chosen one, with the p value and interval of its step.

    The interval holds the differences that the test of the row's step does not reject: with
    paragraphs of one size it is mean -+ c standard errors, c being the step's bound. So it holds 0
    exactly where the corrected p value is above 1 - level.
    """
    matrix = score_matrix(scores, clusters)
    found = paired_differences(matrix, matrix[steps.chosen], clusters, steps.level, draws, seed)
    sums = clusters.sums(matrix - matrix[steps.chosen])
    return [
        _corrected(each, _ends(row, clusters.sizes.astype(np.float64), bound), p)
        for each, row, bound, p in zip(found, sums, steps.bounds, steps.p_values, strict=True)
    ]


def share_as_large(drawn: Floats, statistic: float) -> float:
    """Return the p value: the share of draws [D] that are as large, the observed one with them."""
    hits = int((drawn >= statistic - 1e-9).sum())
    return (hits + 1) / (len(drawn) + 1)


def _step_down(
    largest: Sequence[Floats], statistics: Floats, level: float
) -> tuple[Floats, Floats]:
    """Return p values and bounds, from the row that leaves last to the one that leaves first.

    `largest` has each draw's largest statistic among the first one, two, ... of the rows.
    """
    alone = [share_as_large(d, t) for d, t in zip(largest, statistics, strict=True)]
    p_values = np.maximum.accumulate(alone[::-1])[::-1]
    bounds = np.array([_bound(drawn, level) for drawn in largest])
    num_left = int((p_values > _error(level)).sum())
    bounds[:num_left] = bounds[num_left - 1]
    return p_values, bounds


def _bound(drawn: Floats, level: float) -> float:
    """Return the value above which a statistic's `share_as_large` is at most 1 - level."""
    hits = floor(_error(level) * (len(drawn) + 1) + 1e-9) - 1
    if hits < 0:
        return float("inf")
    return float(np.partition(drawn, -hits - 1)[-hits - 1]) + 1e-9


def _error(level: float) -> float:
    """Return 1 - level without what subtraction leaves in the last bits."""
    return round(1 - level, 12)


def _ends(sums: Floats, sizes: Floats, bound: float) -> tuple[float, float] | None:
    """Return the least and the largest mean difference x whose statistic is within the bound.

    These solve sum(d_g - x n_g)^2 = bound^2 * sum((d_g - x n_g)^2), the left side being the
    squared sum. None where clusters are so few that no x is too large for the bound.
    """
    square = min(bound, 1e9) ** 2
    leading = sizes.sum() ** 2 - square * (sizes @ sizes)
    if leading <= 0:
        return None
    middle = (sums.sum() * sizes.sum() - square * (sums @ sizes)) / leading
    product = (sums.sum() ** 2 - square * (sums @ sums)) / leading
    half_width = sqrt(max(0.0, middle**2 - product))
    return float(middle - half_width), float(middle + half_width)


def _corrected(
    difference: Difference, ends: tuple[float, float] | None, p_value: float
) -> Difference:
    """Put the ends and the p value of a row's step in; without a spread there are no ends."""
    found = replace(difference, adjusted_p_value=p_value)
    if difference.reason:
        return found
    if ends is None:
        return replace(found, low=None, high=None, reason=TOO_FEW)
    return replace(found, low=ends[0], high=ends[1])


def _inverse_norms(sums_KG: Floats) -> Floats:
    """Return 1 / sqrt(sum of squares) of each pair's differences, 0 where there are none."""
    rounding = 1e-12 * np.abs(sums_KG).max(initial=0.0)
    norms_KK = np.stack([np.sqrt(np.square(sums_KG - row).sum(axis=1)) for row in sums_KG])
    differ = norms_KK > rounding
    return np.where(differ, 1.0 / np.where(differ, norms_KK, 1.0), 0.0)
