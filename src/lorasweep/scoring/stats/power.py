"""How many questions would settle a difference, and what the present ones can settle."""

from bisect import bisect_left
from dataclasses import dataclass, replace
from math import ceil, inf, sqrt

from numpy.typing import ArrayLike

from lorasweep.scoring.stats.clusters import Clusters, cluster_variances, score_matrix
from lorasweep.scoring.stats.intervals import design_effects, rounding_of, student_quantile

MAX_CLUSTERS = 10**9


@dataclass(frozen=True, kw_only=True)
class Power:
    """What it takes to settle a difference, and what the present questions can.

    `smallest_difference` is what the present questions settle with the same power. It, the counts
    and the error are None where nothing is known of the spread between clusters: with one
    cluster, or equal answers; the counts too where a thousand million clusters were too few.
    `mean_cluster_size` and `design_effect` are those observed and assumed to stay.
    """

    difference: float
    num_clusters: int | None
    num_questions: int | None
    smallest_difference: float | None
    standard_error: float | None
    mean_cluster_size: float
    design_effect: float | None
    power: float
    significance: float


def questions_to_settle(
    differences: ArrayLike,
    clusters: Clusters,
    difference: float,
    power: float = 0.8,
    significance: float = 0.05,
) -> Power:
    """Return how many questions settle a mean `difference`, from paired differences [questions].

    With standard error SE on G clusters now, G' clusters of the same kind settle, two-sided,

        (t_{1 - significance/2} + t_{power}) * SE * sqrt(G / G'),  t with G' - 1 degrees of freedom

    (Bloom 1995, doi:10.1177/0193841X9501900504). `difference` is what would matter, chosen
    beforehand: taking the observed one only restates its p value (Hoenig & Heisey 2001). Raises
    ValueError for a difference of 0.
    """
    if difference == 0:
        raise ValueError("no number of questions settles a difference of 0")
    matrix = score_matrix(differences, clusters)
    error = sqrt(cluster_variances(matrix, clusters)[0])
    rounding = rounding_of(matrix)[0]
    found = Power(
        difference=difference,
        num_clusters=None,
        num_questions=None,
        smallest_difference=None,
        standard_error=None,
        mean_cluster_size=clusters.num_questions / clusters.num_clusters,
        design_effect=design_effects(matrix, clusters)[0],
        power=power,
        significance=significance,
    )
    return _settled(found, error, clusters.num_clusters) if rounding < error < inf else found


def _settled(found: Power, error: float, num_clusters: int) -> Power:
    """Return what a standard error on some clusters says of the counts."""
    levels = found.power, found.significance
    needed = _clusters_needed(abs(found.difference), error * sqrt(num_clusters), *levels)
    return replace(
        found,
        num_clusters=needed,
        num_questions=None if needed is None else ceil(needed * found.mean_cluster_size),
        smallest_difference=error * _quantiles(num_clusters, *levels),
        standard_error=error,
    )


def _clusters_needed(
    difference: float, spread: float, power: float, significance: float
) -> int | None:
    """Return the fewest clusters that settle a difference, with `spread` the error of one."""

    def settles(num_clusters: int) -> bool:
        error = spread / sqrt(num_clusters)
        return _quantiles(num_clusters, power, significance) * error <= difference

    if not settles(MAX_CLUSTERS):
        return None
    return 2 + bisect_left(range(2, MAX_CLUSTERS), True, key=settles)


def _quantiles(num_clusters: int, power: float, significance: float) -> float:
    degrees = num_clusters - 1
    return student_quantile(1 - significance / 2, degrees) + student_quantile(power, degrees)
