"""Which runs may be the best one? The model confidence set over a matrix of scores."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lorasweep.stats.clusters import (
    DRAWS,
    Clusters,
    Floats,
    bootstrap_counts,
    means,
    score_matrix,
)

# The least error of a draw, as a share of the observed one.
LEAST_ERROR = 0.4


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

    Every draw is studentised by an error of its own (the bootstrap-t; Hall 1988,
    doi:10.1214/aos/1176350933), not all by the observed one: a skewed score's error goes with its
    mean, and far in the tails, where the largest of many runs lies, that decides: one
    error for all draws would lose equal runs far too often where few answers are right.
    A draw's error counts as 0.4 of the observed one at least, because a draw of few paragraphs may
    happen to show none.

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
    if clusters.num_clusters == 1:
        return np.ones(len(matrix)), list(np.argsort(means(matrix)))
    test = _EqualityTest(matrix, clusters, draws, seed)
    p_values, order = np.ones(len(matrix)), []
    remaining, p_value = np.arange(len(matrix)), 0.0
    while len(remaining) > 1:
        p_test, worst = test.p_value(remaining)
        p_value = max(p_value, p_test)
        p_values[remaining[worst]] = p_value
        order.append(int(remaining[worst]))
        remaining = np.delete(remaining, worst)
    return p_values, [*order, int(remaining[0])]


class _EqualityTest:
    """T_max for equal means of some rows, every test from the same draws of clusters.

    Shapes: D draws, G clusters, K rows, R remaining rows.
    """

    def __init__(self, matrix: Floats, clusters: Clusters, draws: int, seed: int) -> None:
        self.means_K = means(matrix)
        self.sizes_G = clusters.sizes.astype(np.float64)
        # What a cluster adds to a row beyond the row's mean.
        self.residuals_GK = clusters.sums(matrix - self.means_K[:, None]).T
        # Counts are small whole numbers: half the memory, and exact.
        blocks = [c.astype(np.float32) for c in bootstrap_counts(clusters, draws, seed)]
        self.counts_DG = np.concatenate(blocks)
        self.sizes_D = self._drawn(self.sizes_G)
        self.deviations_DK = self._drawn(self.residuals_GK) / self.sizes_D[:, None]
        self.crossed_DK = self._drawn(self.residuals_GK * self.sizes_G[:, None])
        self.squares_D = self._drawn(self.sizes_G**2)

    def p_value(self, remaining: NDArray[np.int64]) -> tuple[float, int]:
        """Return the p value, and which of the remaining rows falls shortest."""
        shortfall_R = -_centred(self.means_K[remaining])
        residuals_GR = _centred(self.residuals_GK[:, remaining])
        # Runs a constant apart have no error but rounding; the floor lets any real gap count.
        floor = 1e-9 * max(1e-300, float(np.abs(self.means_K).max()))
        error_R = np.sqrt(np.square(residuals_GR).sum(axis=0)) / self.sizes_G.sum()
        error_R = np.maximum(error_R, floor)
        statistic_R = shortfall_R / error_R
        drawn_DR = -_centred(self.deviations_DK[:, remaining])
        drawn_error_DR = np.sqrt(self._drawn_variances(remaining, residuals_GR, drawn_DR))
        drawn_DR /= np.maximum(drawn_error_DR, LEAST_ERROR * error_R)
        worst = int(np.argmax(statistic_R))
        hits = int((drawn_DR.max(axis=1) >= statistic_R[worst] - 1e-6).sum())
        return (hits + 1) / (len(drawn_DR) + 1), worst

    def _drawn_variances(
        self, remaining: NDArray[np.int64], residuals_GR: Floats, drawn_DR: Floats
    ) -> Floats:
        """Return the squared error [D, R] of each drawn shortfall: sum_g w_g (r_g + d n_g)^2 / N^2.

        The ratio estimator's (see `clusters.cluster_variances`), with w_g the count of a cluster,
        r_g its residual and d the drawn shortfall.
        """
        crossed_DR = _centred(self.crossed_DK[:, remaining])
        spread_DR = self._drawn(np.square(residuals_GR)) + 2 * drawn_DR * crossed_DR
        spread_DR += np.square(drawn_DR) * self.squares_D[:, None]
        return np.asarray(np.maximum(spread_DR, 0.0) / np.square(self.sizes_D)[:, None])

    def _drawn(self, values: Floats) -> Floats:
        """Add up values [G] or [G, ...] over the drawn clusters."""
        return np.asarray(self.counts_DG @ values.astype(np.float32), dtype=np.float64)


def _centred(values: Floats) -> Floats:
    """Return values [..., R] minus their mean over the last axis."""
    return np.asarray(values - values.mean(axis=-1, keepdims=True))
