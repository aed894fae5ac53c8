"""Which runs may be the best one? The model confidence set over a matrix of scores."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lorasweep.scoring.stats.all_pairs import AllPairs, share_as_large
from lorasweep.scoring.stats.clusters import DRAWS, Clusters, Floats, means, score_matrix


@dataclass(frozen=True, kw_only=True)
class TiedBest:
    """The runs that the data cannot tell from the best, as row numbers of the score matrix.

    `p_values` [runs] are the set's own: a run belongs to the set at every level with
    p > 1 - level. `order` lists all runs from the first eliminated to the last one left.
    """

    members: tuple[int, ...]
    p_values: tuple[float, ...]
    order: tuple[int, ...]
    level: float


def tied_best(
    scores: ArrayLike, clusters: Clusters, level: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> TiedBest:
    """Return the model confidence set of scores [runs, questions], higher being better.

    Hansen, Lunde & Nason 2011, doi:10.3982/ECTA5771: while the hypothesis that all remaining runs
    are equally good is rejected, the one that falls furthest short of another leaves. The set that
    stays holds the best run (all of them, where several are equal) with probability `level`, and
    no two of its runs are shown to differ. The test is T_R, the largest studentised difference of
    any pair, against its distribution under clusters' random signs (`AllPairs`). T_R rather than
    T_max, the largest shortfall behind the mean of all: a run that is always a little worse than
    the best is far from it and near the mean, and T_max keeps it. So a run that
    `differences_from_chosen` shows to be worse than the best one is never in the set.

    Runs with the same score on every question are one run here: they stay or leave together.
    With one cluster no spread can be seen, and all runs stay.
    """
    matrix = score_matrix(scores, clusters)
    distinct, copies = np.unique(matrix, axis=0, return_inverse=True)
    copies = copies.reshape(-1)
    p_values, order = _eliminate(distinct, clusters, draws, seed)
    p_of_run = p_values[copies]
    return TiedBest(
        members=tuple(np.flatnonzero(p_of_run > 1 - level).tolist()),
        p_values=tuple(p_of_run.tolist()),
        order=tuple(int(run) for row in order for run in np.flatnonzero(copies == row)),
        level=level,
    )


def _eliminate(
    matrix: Floats, clusters: Clusters, draws: int, seed: int
) -> tuple[Floats, list[int]]:
    """Return the set's p value of each row, and the rows in the order of their elimination.

    The p value of a row is the largest of the tests up to its elimination; the last one has 1.
    """
    pairs = AllPairs(matrix, clusters, draws, seed)
    order, statistics = _order(pairs.statistics_KK, means(matrix))
    # The rows that remain at each test, from the last test to the first.
    largest = [share_as_large(drawn, statistic) for drawn, statistic in
               zip(pairs.largest_drawn(order[::-1]), statistics[::-1], strict=True)]  # fmt: skip
    p_values = np.ones(len(matrix))
    p_values[order] = np.maximum.accumulate(largest[::-1])
    return p_values, order


def _order(statistics_KK: Floats, means_K: Floats) -> tuple[list[int], list[float]]:
    """Return the rows from the first to leave to the last, and the statistic that each leaves by.

    That is its shortfall behind the one it falls furthest short of; of several as far behind the
    one with the lowest mean leaves. The last row has 0.
    """
    by_mean = np.argsort(means_K, kind="stable")
    shortfalls = statistics_KK[np.ix_(by_mean, by_mean)]
    order, statistics = [], []
    for _ in by_mean:
        furthest = shortfalls.max(axis=1)
        worst = int(np.argmax(furthest >= furthest.max() - 1e-9))
        order.append(int(by_mean[worst]))
        statistics.append(float(furthest[worst]))
        shortfalls[worst, :] = shortfalls[:, worst] = -np.inf
    return order, statistics
