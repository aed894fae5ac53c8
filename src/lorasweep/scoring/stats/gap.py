"""The gap between a mean on one set of clusters and that on another one, with its interval."""

from dataclasses import dataclass

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
from lorasweep.scoring.stats.intervals import (
    FEWEST_TO_RESAMPLE,
    ONE_CLUSTER,
    expanded_quantile,
    row_ends,
    student_ends,
)


@dataclass(frozen=True, kw_only=True)
class Gap:
    """The mean on the first set less that on the second; `reason` says why there are no ends."""

    mean: float
    low: float | None
    high: float | None
    reason: str = ""


def gap_intervals(
    first: ArrayLike,
    first_clusters: Clusters,
    second: ArrayLike,
    second_clusters: Clusters,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> list[Gap]:
    """Return the gap of each row between scores [rows, units] on two sets that share nothing.

    The clusters of each set are drawn again on their own, and the ends are those of
    `bootstrap_intervals`, with the degrees of freedom of the set that has fewer clusters: wide
    rather than narrow (Welch's rule lies between that and their sum). Raises ValueError for scores
    that do not fit their clusters or each other.
    """
    one, other = score_matrix(first, first_clusters), score_matrix(second, second_clusters)
    if len(one) != len(other):
        raise ValueError(f"{len(one)} rows of scores on one set, {len(other)} on the other")
    gaps = means(one) - means(other)
    fewest = min(first_clusters.num_clusters, second_clusters.num_clusters)
    if fewest == 1:
        return [Gap(mean=float(gap), low=None, high=None, reason=ONE_CLUSTER) for gap in gaps]
    if fewest < FEWEST_TO_RESAMPLE:
        errors = np.sqrt(
            cluster_variances(one, first_clusters) + cluster_variances(other, second_clusters)
        )
        return [
            _gap(float(gap), student_ends(gap, error, 1e-12 * abs(gap), fewest, level))
            for gap, error in zip(gaps, errors, strict=True)
        ]
    drawn = bootstrap_means(one, first_clusters, draws, seed)
    # Another seed: sets of as many clusters would have the same draws.
    drawn -= bootstrap_means(other, second_clusters, draws, seed + 1)
    influences = np.hstack([_influences(one, first_clusters), -_influences(other, second_clusters)])
    z = expanded_quantile(level, fewest)
    return [
        _gap(float(gap), row_ends(column, influence, z, 1e-12 * abs(gap)))
        for gap, column, influence in zip(gaps, drawn.T, influences, strict=True)
    ]


def _gap(mean: float, ends: tuple[float | None, float | None, str]) -> Gap:
    low, high, reason = ends
    return Gap(mean=mean, low=low, high=high, reason=reason)


def _influences(matrix: Floats, clusters: Clusters) -> Floats:
    """Return what each cluster adds to each row's mean: [rows, clusters]."""
    return clusters.sums(matrix - means(matrix)[:, None]) / clusters.num_questions
