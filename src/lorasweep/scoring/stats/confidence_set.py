"""Which runs may be the best one? The model confidence set over a matrix of scores."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lorasweep.scoring.stats.all_pairs import Steps, steps_from_chosen
from lorasweep.scoring.stats.clusters import DRAWS, Clusters, means, score_matrix


@dataclass(frozen=True, kw_only=True)
class TiedBest:
    """The runs that the data cannot tell from the best, as row numbers of the score matrix.

    `p_values` [runs] are the set's own: a run belongs to the set at every level with
    p > 1 - level. `order` lists all runs from the first eliminated to the last one left. `steps`
    is what both come from, and also knows of the rows that are no runs.
    """

    members: tuple[int, ...]
    p_values: tuple[float, ...]
    order: tuple[int, ...]
    level: float
    steps: Steps


def tied_best(
    scores: ArrayLike,
    clusters: Clusters,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
    apart: int = 0,
) -> TiedBest:
    """Return the model confidence set of scores [runs, questions], higher being better.

    Hansen, Lunde & Nason 2011, doi:10.3982/ECTA5771: while the hypothesis that all remaining runs
    are equally good is rejected, one of them leaves; the set that stays holds the best run (all of
    them, where several are equal) with probability `level`. The run that leaves is the one that
    falls furthest short of the highest mean, by its studentised difference, and the test holds
    that difference against the largest of any remaining pair under clusters' random signs
    (`steps_from_chosen`). So the set's p value of a run is its corrected p value against the run
    with the highest mean: a run is outside exactly where it is shown to be worse than that one.
    Held against the mean of all instead (the paper's T_max), a run that is always a little worse
    than the best would stay; and the largest shortfall behind any run (its T_R) throws runs out
    that are behind another than the one that is named as the best.

    Runs with the same score on every question stay or leave together. With one cluster no spread
    can be seen, and all runs stay. The last `apart` rows are no runs, and enter no set.
    """
    runs = score_matrix(scores, clusters)[: len(np.atleast_2d(scores)) - apart]
    averages = means(runs)
    best = int(np.argmax(averages))
    steps = steps_from_chosen(scores, best, clusters, level, draws, seed, apart)
    # Rounding alone tells copies of a run apart.
    shortfalls = np.round(steps.statistics[: len(runs)], 9)
    return TiedBest(
        members=tuple(row for row in range(len(runs)) if row not in steps.told_apart),
        p_values=steps.p_values[: len(runs)],
        order=tuple(np.lexsort((averages, shortfalls)).tolist()),
        level=level,
        steps=steps,
    )
