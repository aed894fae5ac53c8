"""All pairs of runs at once: how large their largest difference gets by chance alone."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from lorasweep.scoring.stats.clusters import DRAWS, Clusters, Floats, score_matrix, signs
from lorasweep.scoring.stats.paired import Difference, paired_differences


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
        sums_KG = clusters.sums(matrix)
        totals_K = sums_KG.sum(axis=1)
        self.inverse_KK = _inverse_norms(sums_KG)
        self.statistics_KK = (totals_K[None, :] - totals_K[:, None]) * self.inverse_KK
        blocks = [block @ sums_KG.T for block in signs(draws, clusters.num_clusters, seed)]
        self.drawn_DK = np.concatenate(blocks)

    def largest_drawn(self, rows: Sequence[int]) -> Iterator[Floats]:
        """Yield each draw's largest statistic [D] among the first one, two, ... of the rows."""
        largest_D = np.zeros(len(self.drawn_DK))
        for count, row in enumerate(rows):
            before = list(rows[:count])
            apart = np.abs(self.drawn_DK[:, before] - self.drawn_DK[:, [row]])
            largest_D = np.maximum(
                largest_D, (apart * self.inverse_KK[row, before]).max(axis=1, initial=0.0)
            )
            yield largest_D


def share_as_large(drawn: Floats, statistic: float) -> float:
    """Return the p value: the share of draws [D] that are as large, the observed one with them."""
    hits = int((drawn >= statistic - 1e-9).sum())
    return (hits + 1) / (len(drawn) + 1)


def differences_from_chosen(
    scores: ArrayLike,
    chosen: int,
    clusters: Clusters,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> list[Difference]:
    """Compare each row of scores [runs, questions] with a row chosen by these very scores.

    As `paired_differences`, the chosen row's with itself included; but whoever picks the best of
    many equal runs sees many others fall behind it, so that correcting for the comparisons with it
    is not enough. The adjusted p value is the share of draws whose largest statistic over all
    pairs of runs is as large (single-step max-T; Westfall & Young 1993, section 2.3), which holds
    whichever two runs are picked.
    """  # fmt: skip
    matrix = score_matrix(scores, clusters)
    pairs = AllPairs(matrix, clusters, draws, seed)
    *_, largest_D = pairs.largest_drawn(range(len(matrix)))
    found = paired_differences(matrix, matrix[chosen], clusters, level, draws, seed)
    return [
        replace(each, adjusted_p_value=share_as_large(largest_D, abs(statistic)))
        for each, statistic in zip(found, pairs.statistics_KK[chosen], strict=True)
    ]


def _inverse_norms(sums_KG: Floats) -> Floats:
    """Return 1 / sqrt(sum of squares) of each pair's differences, 0 where there are none."""
    rounding = 1e-12 * np.abs(sums_KG).max(initial=0.0)
    norms_KK = np.stack([np.sqrt(np.square(sums_KG - row).sum(axis=1)) for row in sums_KG])
    differ = norms_KK > rounding
    return np.where(differ, 1.0 / np.where(differ, norms_KK, 1.0), 0.0)
