from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from lorasweep.scoring.stats.all_pairs import AllPairs, differences_from_chosen
from lorasweep.scoring.stats.clusters import Clusters
from lorasweep.scoring.stats.paired import Difference, paired_differences
from lorasweep.scoring.stats.paired import sentence as sentence_of

Simulate = Callable[..., tuple[np.ndarray, Clusters]]

# Marks of a few runs on questions in paragraphs of any sizes.
MARKS = st.tuples(st.integers(1, 6), st.integers(1, 24)).flatmap(
    lambda shape: st.tuples(
        st.lists(
            st.lists(st.sampled_from([0.0, 50.0, 100.0]), min_size=shape[1], max_size=shape[1]),
            min_size=shape[0], max_size=shape[0],
        ),
        st.lists(st.integers(0, 11), min_size=shape[1], max_size=shape[1]),
    )
)  # fmt: skip


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
    assert [each.mean for each in found] == [each.mean for each in alone]
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


def says_one_thing(each: Difference) -> bool:
    """Whether test, interval and sentence agree on what is shown."""
    assert each.adjusted_p_value is not None
    is_shown = each.adjusted_p_value <= 0.05
    says_no = "not shown to differ" in sentence_of("a", "b", "F1", each)
    of_interval = each.low is None or each.excludes_zero == is_shown
    return each.is_shown == is_shown and says_no != is_shown and of_interval


@settings(max_examples=150, deadline=None)
@given(MARKS, st.data())
def test_p_value_interval_and_sentence_are_one_decision(
    marks: tuple[list[list[float]], list[int]], data: st.DataObject
) -> None:
    scores, labels = marks
    chosen = data.draw(st.integers(0, len(scores) - 1))
    apart = data.draw(st.integers(0, min(1, len(scores) - 1 - chosen)))
    found = differences_from_chosen(scores, chosen, Clusters.of(labels), draws=99, apart=apart)
    assert all(says_one_thing(each) for each in found)
    assert found[chosen].adjusted_p_value == 1


def runs_far_apart(simulate: Simulate, seed: int, num_runs: int) -> tuple[np.ndarray, Clusters]:
    """Scores of runs each of which is worse than the one before it."""
    scores, clusters = simulate(np.random.default_rng(seed), num_runs, 60)
    return scores * np.linspace(1, 0.5, num_runs)[:, None], clusters


def test_the_base_model_is_in_no_run_s_way(simulate: Simulate) -> None:
    scores, clusters = runs_far_apart(simulate, 0, 6)
    alone = differences_from_chosen(scores[:5], 0, clusters, draws=500)
    *runs, base = differences_from_chosen(scores, 0, clusters, draws=500, apart=1)
    assert runs == alone
    assert base.is_shown


def test_a_run_that_left_does_not_weigh_on_those_that_are_nearer(simulate: Simulate) -> None:
    scores, clusters = simulate(np.random.default_rng(5), 2, 60)
    scores[1] *= 0.85
    far = np.random.default_rng(1).permutation(scores[0])[None, :] * np.full((20, 1), 0.02)
    (_, alone) = differences_from_chosen(scores, 0, clusters, draws=2000)
    (_, among, *others) = differences_from_chosen(np.vstack([scores, far]), 0, clusters, draws=2000)
    assert all(each.is_shown for each in others)
    assert among.adjusted_p_value == alone.adjusted_p_value
    assert (among.low, among.high) == (alone.low, alone.high)


def all_hold(simulate: Simulate, simulations: int, worth: np.ndarray, num_clusters: int) -> int:
    """How often all intervals hold the true differences, the runs being worth these shares."""
    rng = np.random.default_rng(len(worth) * num_clusters)
    mean, found = simulate(rng, 1, 100_000, "f1")[0].mean(), 0
    for seed in range(simulations):
        scores, clusters = simulate(rng, len(worth), num_clusters, "f1")
        scores *= worth[:, None]
        best = int(scores.mean(axis=1).argmax())
        differences = differences_from_chosen(scores, best, clusters, draws=500, seed=seed)
        found += all(
            each.low is None or each.high is None or each.low <= truth <= each.high
            for each, truth in zip(differences, mean * (worth - worth[best]), strict=True)
        )
    return found


@pytest.mark.slow
@pytest.mark.parametrize("worth", [np.ones(8), np.linspace(1, 0.4, 8), np.r_[1, 1, [0.7] * 6]])
def test_intervals_hold_the_differences_of_all_runs_at_once(
    simulate: Simulate, worth: np.ndarray
) -> None:
    """Nearly at the nominal rate: a run's interval knows of its own step's rivals alone."""
    assert all_hold(simulate, 300, worth, 60) >= binom.ppf(0.001, 300, 0.93)


def test_intervals_of_equal_paragraphs_are_the_mean_and_as_many_errors_on_both_sides() -> None:
    marks = np.random.default_rng(0).normal(size=(3, 200))
    found = differences_from_chosen(marks, 0, Clusters.of(np.arange(200) // 4), draws=2000)
    for each in found[1:]:
        assert each.low is not None
        assert each.high is not None
        assert (each.low + each.high) / 2 == pytest.approx(each.mean)


def test_few_paragraphs_show_nothing() -> None:
    scores = [[100.0, 100, 100, 50], [0.0, 50, 0, 0]]
    (_, behind) = differences_from_chosen(scores, 0, Clusters.of(range(4)), draws=1000)
    assert not behind.is_shown
    assert behind.low is not None
    assert behind.high is not None
    assert behind.low <= behind.mean <= 0 <= behind.high


def test_where_one_paragraph_is_nearly_all_there_is_no_interval() -> None:
    labels = [0, 1, 2, *[3] * 40]
    scores = [[100.0, 100, 50, *[60] * 40], [0.0, 50, 0, *[50] * 40]]
    (_, behind) = differences_from_chosen(scores, 0, Clusters.of(labels), draws=1000)
    assert (behind.low, behind.high, behind.is_shown) == (None, None, False)
    assert "so few clusters" in behind.reason
