"""Which runs may be the best one? The model confidence set over a matrix of scores."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from lorasweep.stats.clusters import (
    DRAWS,
    Clusters,
    Floats,
    bootstrap_means,
    means,
    score_matrix,
)


@dataclass(frozen=True, kw_only=True)
class TiedBest:
    """The runs that the data cannot tell from the best, as row numbers of the score matrix.

    `p_values` [runs] are the set's own: a run belongs to the set at every level with
    1 - level <= p. `order` lists all runs from the first eliminated to the last one left.
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
    are equally good is rejected, the worst of them leaves. The set that stays holds the best run
    (all of them, where several are equal) with probability `level`. The test is T_max, the
    largest studentised shortfall of a run behind the mean of those remaining, against its
    cluster bootstrap distribution. T_max rather than T_R: the work grows with the number of runs,
    not of their pairs, and the rule that picks the run to leave is the test itself.

    Runs with the same score on every question are one run here: they stay or leave together.
    With one cluster no spread can be seen, and all runs stay.
    """
    matrix = score_matrix(scores, clusters)
    distinct, copies = np.unique(matrix, axis=0, return_inverse=True)
    copies = copies.reshape(-1)
    p_values, order = _eliminate(distinct, clusters, draws, seed)
    p_of_run = p_values[copies]
    return TiedBest(
        members=tuple(np.flatnonzero(p_of_run >= 1 - level).tolist()),
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
    observed = means(matrix)
    if clusters.num_clusters == 1:
        return np.ones(len(matrix)), list(np.argsort(observed))
    deviations = _deviations(matrix, clusters, draws, seed)
    p_values, order = np.ones(len(matrix)), []
    remaining, p_value = np.arange(len(matrix)), 0.0
    while len(remaining) > 1:
        p_test, worst = _test_equal(
            observed[remaining], deviations[:, remaining], clusters.num_clusters
        )
        p_value = max(p_value, p_test)
        p_values[remaining[worst]] = p_value
        order.append(int(remaining[worst]))
        remaining = np.delete(remaining, worst)
    return p_values, [*order, int(remaining[0])]


def _deviations(matrix: Floats, clusters: Clusters, draws: int, seed: int) -> Floats:
    """Return drawn minus observed means [draws, rows], with the variance made unbiased."""
    num_clusters = clusters.num_clusters
    drawn = bootstrap_means(matrix, clusters, draws, seed) - means(matrix)
    return drawn * sqrt(num_clusters / (num_clusters - 1))


def _test_equal(observed: Floats, deviations: Floats, num_clusters: int) -> tuple[float, int]:
    """Return the p value of T_max for equal means, and the row that falls shortest.

    The drawn statistics have a fixed standard error and so about normal margins; the observed one
    has an estimated error, so Student's with G - 1 degrees of freedom. It is carried over to the
    normal scale, or few clusters would reject too often.
    """
    from scipy.special import ndtri, stdtr

    shortfall = observed.mean() - observed
    drawn = deviations.mean(axis=1, keepdims=True) - deviations
    # Runs a constant apart have no error but rounding; the floor lets any real gap count.
    floor = 1e-9 * max(1e-300, float(np.abs(observed).max()))
    error = np.maximum(np.sqrt(np.square(drawn).mean(axis=0)), floor)
    statistics = shortfall / error
    worst = int(np.argmax(statistics))
    bound = -ndtri(stdtr(num_clusters - 1, -statistics[worst])) - 1e-6
    hits = int(((drawn / error).max(axis=1) >= bound).sum())
    return (hits + 1) / (len(drawn) + 1), worst
