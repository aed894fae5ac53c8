from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom, t

from lorasweep.scoring.stats.clusters import Clusters
from lorasweep.scoring.stats.intervals import NO_SPREAD
from lorasweep.scoring.stats.seeds import seed_spreads

Simulate = Callable[..., tuple[np.ndarray, Clusters]]


def test_the_interval_follows_its_formula() -> None:
    scores = np.array([[60.0, 40.0, 80.0], [50.0, 30.0, 100.0]])
    (spread,) = seed_spreads(scores, ["r4", "r4"], Clusters.of([0, 1, 2]))
    deviation = np.std([60, 60], ddof=1)
    error = np.std([55, 35, 90], ddof=1) / np.sqrt(3)
    assert spread.mean == pytest.approx(60)
    assert spread.seed_deviation == pytest.approx(deviation)
    assert spread.question_error == pytest.approx(error)
    half_width = t.ppf(0.975, 2) * error
    assert (spread.low, spread.high) == pytest.approx((60 - half_width, 60 + half_width))


def test_two_seeds_are_taken_with_one_degree_of_freedom() -> None:
    scores = np.array([[49.0] * 4, [51.0] * 4])
    (spread,) = seed_spreads(scores, ["a", "a"], Clusters.of(range(4)))
    assert spread.question_error == pytest.approx(0)
    assert spread.high - spread.mean == pytest.approx(12.706, abs=0.001)


def test_groups_come_in_first_seen_order_with_their_own_runs(simulate: Simulate) -> None:
    scores, clusters = simulate(np.random.default_rng(0), num_runs=5)
    spreads = seed_spreads(scores, ["b", "a", "b", "c", "b"], clusters)
    assert [(s.group, s.num_seeds) for s in spreads] == [("b", 3), ("a", 1), ("c", 1)]
    assert spreads[0].mean == pytest.approx(scores[[0, 2, 4]].mean())


def test_one_seed_says_that_its_spread_is_unknown(simulate: Simulate) -> None:
    scores, clusters = simulate(np.random.default_rng(0))
    (spread,) = seed_spreads(scores, ["a"], clusters)
    assert spread.seed_deviation is None
    assert spread.low < spread.mean < spread.high
    assert "one seed" in spread.reason


def test_one_cluster_gives_no_interval() -> None:
    (spread,) = seed_spreads([[1.0, 0.0], [0.0, 0.0]], ["a", "a"], Clusters.of(["p", "p"]))
    assert (spread.low, spread.high, spread.question_error) == (None, None, None)
    assert spread.seed_deviation is not None
    assert "one cluster" in spread.reason


def test_groups_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="1 groups for 2 runs"):
        seed_spreads([[1.0, 0.0], [0.0, 0.0]], ["a"], Clusters.of([0, 1]))


@pytest.mark.slow
@pytest.mark.parametrize("num_seeds", [2, 3, 5])
@pytest.mark.parametrize("seed_effect", [0.0, 0.3])
def test_the_interval_covers_at_least_at_the_nominal_rate(
    simulate: Simulate, num_seeds: int, seed_effect: float
) -> None:
    rng = np.random.default_rng(num_seeds)

    def draw(runs: int, num_clusters: int) -> tuple[np.ndarray, Clusters]:
        shift = rng.normal(0, seed_effect, (runs, 1))
        return simulate(rng, runs, num_clusters, shift=shift)

    truth = np.mean([draw(200, 200)[0].mean() for _ in range(100)])
    covered = 0
    for _ in range(1500):
        scores, clusters = draw(num_seeds, 60)
        (spread,) = seed_spreads(scores, [0] * num_seeds, clusters)
        covered += spread.low <= truth <= spread.high
    assert covered >= binom.ppf(0.001, 1500, 0.95)


def test_seeds_that_score_the_same_in_every_paragraph_have_no_interval() -> None:
    (spread,) = seed_spreads(np.zeros((3, 8)), ["a"] * 3, Clusters.of(range(8)))
    assert (spread.low, spread.high, spread.reason) == (None, None, NO_SPREAD)
