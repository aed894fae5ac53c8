from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from lorasweep.scoring.stats.all_pairs import AllPairs, differences_from_chosen
from lorasweep.scoring.stats.clusters import Clusters
from lorasweep.scoring.stats.paired import paired_differences

Simulate = Callable[..., tuple[np.ndarray, Clusters]]


def shown(simulate: Simulate, simulations: int, num_runs: int, num_clusters: int) -> int:
    """How often the best of equal runs is shown to be better than any other."""
    rng = np.random.default_rng(num_clusters)
    found = 0
    for seed in range(simulations):
        scores, clusters = simulate(rng, num_runs, num_clusters)
        best = int(scores.mean(axis=1).argmax())
        differences = differences_from_chosen(scores, best, clusters, draws=500, seed=seed)
        found += any(each.is_shown for each in differences)
    return found


def test_the_best_of_equal_runs_is_not_shown_to_be_better(simulate: Simulate) -> None:
    assert shown(simulate, 40, 10, 40) <= binom.ppf(0.999, 40, 0.05)


@pytest.mark.slow
def test_the_best_of_many_equal_runs_is_not_shown_to_be_better(simulate: Simulate) -> None:
    assert shown(simulate, 400, 50, 100) <= binom.ppf(0.999, 400, 0.05)


def test_only_the_corrected_p_value_knows_of_the_choice(simulate: Simulate) -> None:
    scores, clusters = simulate(np.random.default_rng(0), num_runs=6)
    alone = paired_differences(scores, scores[2], clusters, draws=500)
    found = differences_from_chosen(scores, 2, clusters, draws=500)
    assert [each.p_value for each in found] == [each.p_value for each in alone]
    assert [each.low for each in found] == [each.low for each in alone]
    assert all(each.adjusted_p_value >= each.p_value - 1e-12 for each in found)
    assert (found[2].mean, found[2].adjusted_p_value) == (0.0, 1.0)


def test_statistics_of_all_pairs_by_hand() -> None:
    clusters = Clusters.of(["p", "p", "q", "r"])
    scores = np.array([[1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0]])
    pairs = AllPairs(scores, clusters, draws=50, seed=0)
    # By paragraph the first beats the second by 1, 0, 1 and the third by -1, 1, 1.
    assert pairs.statistics_KK[1, 0] == pytest.approx(2 / np.sqrt(2))
    assert pairs.statistics_KK[2, 0] == pytest.approx(1 / np.sqrt(3))
    assert pairs.statistics_KK == pytest.approx(-pairs.statistics_KK.T)
    *_, largest = pairs.largest_drawn([0, 1])
    assert set(np.round(largest, 9)) == {0.0, round(2 / np.sqrt(2), 9)}


def test_equal_rows_have_no_statistic(simulate: Simulate) -> None:
    scores, clusters = simulate(np.random.default_rng(0), num_runs=2)
    pairs = AllPairs(scores[[0, 0, 1]], clusters, draws=50, seed=0)
    assert pairs.statistics_KK[0, 1] == 0
    assert all(drawn.max() == 0 for drawn in pairs.largest_drawn([0, 1]))


def test_a_constant_advantage_is_shown_without_an_interval() -> None:
    clusters = Clusters.of(range(40))
    (_, ahead) = differences_from_chosen([[0.0] * 40, [100.0] * 40], 0, clusters, draws=1000)
    assert (ahead.low, ahead.high) == (None, None)
    assert ahead.is_shown
