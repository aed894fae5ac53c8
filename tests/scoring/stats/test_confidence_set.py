from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from lorasweep.scoring.stats.all_pairs import differences_from_chosen
from lorasweep.scoring.stats.clusters import Clusters
from lorasweep.scoring.stats.confidence_set import tied_best
from lorasweep.scoring.stats.paired import permutation_p_values

Simulate = Callable[..., tuple[np.ndarray, Clusters]]


def losses(
    simulate: Simulate, simulations: int, draws: int, num_clusters: int, metric: str, shift: float
) -> int:
    """How often a set of 50 equally good, correlated runs loses any of them."""
    rng = np.random.default_rng(num_clusters)
    lost = 0
    for seed in range(simulations):
        scores, clusters = simulate(rng, 50, num_clusters, metric, shift)
        lost += len(tied_best(scores, clusters, draws=draws, seed=seed).members) < 50
    return lost


@pytest.mark.parametrize("shift", [0.0, -3.0])
def test_equal_runs_stay_at_the_nominal_rate(simulate: Simulate, shift: float) -> None:
    assert losses(simulate, 100, 200, 40, "f1", shift) <= binom.ppf(0.999, 100, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("num_clusters", [20, 50, 100, 200])
@pytest.mark.parametrize(
    # Half of the answers right, a fifth or a quarter, and one in twelve.
    ("metric", "shift"),
    [("exact_match", 0), ("f1", 0), ("exact_match", -1.6), ("f1", -3), ("exact_match", -3.2)],
)
def test_equal_runs_stay_at_the_nominal_rate_long(
    simulate: Simulate, metric: str, num_clusters: int, shift: float
) -> None:
    lost = losses(simulate, 600, 1000, num_clusters, metric, shift)
    assert lost <= binom.ppf(0.999, 600, 0.05)


def test_the_last_p_value_is_the_permutation_test_of_two_runs(simulate: Simulate) -> None:
    scores, clusters = simulate(np.random.default_rng(2), num_runs=2, num_clusters=40)
    found = tied_best(scores, clusters, draws=400)
    (alone,) = permutation_p_values(scores[0] - scores[1], clusters, draws=400)
    assert min(found.p_values) == pytest.approx(alone)


def test_a_run_a_little_worse_everywhere_leaves_though_others_are_far_behind(
    simulate: Simulate,
) -> None:
    """It lies near the mean of all, and yet far from the best one."""
    scores, clusters = simulate(np.random.default_rng(3), num_runs=3, num_clusters=60)
    little_worse = scores[0] - np.where(np.arange(len(clusters.index)) % 5, 0.0, 1.0)
    found = tied_best([scores[0], little_worse, scores[1] * 0.3], clusters, draws=1000)
    assert found.members == (0,)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_shown_to_be_worse_than_the_best_is_not_tied_with_it(
    simulate: Simulate, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scores, clusters = simulate(rng, num_runs=12, num_clusters=60)
    scores *= rng.uniform(0.6, 1, (12, 1))
    best = int(scores.mean(axis=1).argmax())
    found = tied_best(scores, clusters, draws=500)
    behind = differences_from_chosen(scores, best, clusters, draws=500)
    shown = {row for row, each in enumerate(behind) if each.is_shown}
    assert shown
    assert not shown & set(found.members)
    assert shown | set(found.members) == set(range(12))
    assert found.p_values == tuple(each.adjusted_p_value for each in behind)


def test_a_gap_in_nearly_all_of_few_paragraphs_counts() -> None:
    right = [1.0] * 9 + [0.0]
    found = tied_best([right, [0.0] * 10], Clusters.of(range(10)), draws=1000)
    assert found.members == (0,)


def test_a_clearly_worse_run_leaves_first(simulate: Simulate) -> None:
    scores, clusters = simulate(np.random.default_rng(0), num_runs=10, num_clusters=100)
    scores[3] = scores[3] * 0.6
    found = tied_best(scores, clusters, draws=2000)
    assert found.order[0] == 3
    assert found.p_values[3] < 0.05
    assert set(found.members) == set(range(10)) - {3}


def test_a_clearly_better_run_stays_alone(simulate: Simulate) -> None:
    scores, clusters = simulate(np.random.default_rng(0), num_runs=10, num_clusters=100)
    scores[7] = np.maximum(scores[7], scores.max(axis=0))
    found = tied_best(scores, clusters, draws=2000)
    assert found.members == (7,)
    assert found.p_values[7] == 1
    assert found.order[-1] == 7


def test_p_values_do_not_fall_along_the_order(simulate: Simulate) -> None:
    scores, clusters = simulate(np.random.default_rng(0), num_runs=12)
    found = tied_best(scores, clusters, draws=500)
    along = [found.p_values[run] for run in found.order]
    assert along == sorted(along)
    assert sorted(found.order) == list(range(12))


def test_one_run_is_the_best() -> None:
    found = tied_best([[1.0, 0.0, 1.0]], Clusters.of([0, 1, 2]))
    assert (found.members, found.p_values, found.order) == ((0,), (1.0,), (0,))


@pytest.mark.parametrize("gap", [0.0, 30.0])
def test_two_runs(simulate: Simulate, gap: float) -> None:
    scores, clusters = simulate(np.random.default_rng(0), num_runs=2, num_clusters=100)
    scores[1] += gap
    found = tied_best(scores, clusters, draws=1000)
    assert found.members == ((1,) if gap else (0, 1))


def test_copies_of_a_run_stay_or_leave_together(simulate: Simulate) -> None:
    scores, clusters = simulate(np.random.default_rng(0), num_runs=3, num_clusters=100)
    scores[2] *= 0.5
    found = tied_best(scores[[0, 2, 1, 0, 2]], clusters, draws=1000)
    assert found.members == (0, 2, 3)
    assert found.p_values[1] == found.p_values[4]
    assert set(found.order[:2]) == {1, 4}


def test_only_copies_all_stay() -> None:
    found = tied_best([[0.1, 0.2, 0.7]] * 4, Clusters.of([0, 1, 2]))
    assert found.members == (0, 1, 2, 3)
    assert found.p_values == (1.0,) * 4


def test_runs_a_constant_apart_have_no_error_and_differ(simulate: Simulate) -> None:
    scores, clusters = simulate(np.random.default_rng(0))
    found = tied_best(np.vstack([scores, scores + 0.1]), clusters, draws=500)
    assert found.members == (1,)


def test_one_cluster_shows_nothing() -> None:
    found = tied_best([[1.0, 1.0], [0.0, 0.5]], Clusters.of(["p", "p"]))
    assert found.members == (0, 1)
    assert found.order == (1, 0)


def test_same_seed_same_set(simulate: Simulate) -> None:
    scores, clusters = simulate(np.random.default_rng(0), num_runs=6)
    assert tied_best(scores, clusters, draws=300) == tied_best(scores, clusters, draws=300)
