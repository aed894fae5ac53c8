from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from lorasweep.scoring.stats.clusters import Clusters
from lorasweep.scoring.stats.intervals import (
    NO_SPREAD,
    bootstrap_interval,
    bootstrap_intervals,
    wilson_interval,
    within,
    within_marks,
)

Simulate = Callable[..., tuple[np.ndarray, Clusters]]
Questions = list[tuple[int, float]]

QUESTIONS = st.lists(
    st.tuples(st.integers(0, 8), st.sampled_from([0.0, 1.0, 0.5, 2 / 3, 0.4])),
    min_size=2,
    max_size=60,
)


def split(questions: Questions) -> tuple[np.ndarray, np.ndarray]:
    labels, scores = zip(*questions, strict=True)
    return np.array(labels), np.array(scores)


@given(QUESTIONS)
@settings(max_examples=60)
def test_interval_contains_the_mean(questions: Questions) -> None:
    labels, scores = split(questions)
    interval = bootstrap_interval(scores, Clusters.of(labels), draws=200)
    assert interval.mean == pytest.approx(scores.mean())
    if interval.low is None:
        assert interval.reason
    else:
        assert interval.low - 1e-12 <= interval.mean <= interval.high + 1e-12
        if interval.num_clusters >= 5:
            assert interval.low >= scores.min() - 1e-12
            assert interval.high <= scores.max() + 1e-12


@given(QUESTIONS, st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_order_of_questions_and_names_of_clusters_decide_nothing(
    questions: Questions, random: Random
) -> None:
    labels, scores = split(questions)
    before = bootstrap_interval(scores, Clusters.of(labels), draws=200)
    random.shuffle(questions)
    labels, scores = split(questions)
    renamed = [f"paragraph {label}" for label in labels]
    after = bootstrap_interval(scores, Clusters.of(renamed), draws=200)
    assert after.low == pytest.approx(before.low, abs=1e-9)
    assert after.high == pytest.approx(before.high, abs=1e-9)
    assert after.design_effect == pytest.approx(before.design_effect)


def test_names_of_clusters_in_another_order_change_the_draws_only(simulate: Simulate) -> None:
    scores, clusters = simulate(np.random.default_rng(0))
    before = bootstrap_interval(scores, clusters)
    after = bootstrap_interval(scores, Clusters.of(-clusters.index))
    assert (after.mean, after.design_effect) == pytest.approx((before.mean, before.design_effect))
    assert (after.low, after.high) == pytest.approx((before.low, before.high), abs=0.5)


def test_same_seed_same_interval_another_seed_another(simulate: Simulate) -> None:
    scores, clusters = simulate(np.random.default_rng(0))
    first, again, other = (bootstrap_interval(scores, clusters, seed=s) for s in (0, 0, 1))
    assert first == again
    assert first != other


def test_many_runs_get_what_each_gets_alone(simulate: Simulate) -> None:
    scores, clusters = simulate(np.random.default_rng(0), num_runs=3)
    for row, interval in zip(scores, bootstrap_intervals(scores, clusters), strict=True):
        alone = bootstrap_interval(row, clusters)
        assert (interval.low, interval.high) == pytest.approx((alone.low, alone.high))


def test_scale_of_scores_only_scales(simulate: Simulate) -> None:
    scores, clusters = simulate(np.random.default_rng(0))
    of_hundred, of_one = (bootstrap_interval(s, clusters) for s in (scores, scores / 100))
    assert of_one.low == pytest.approx(of_hundred.low / 100)
    assert of_one.design_effect == pytest.approx(of_hundred.design_effect)


def test_one_cluster_gives_no_interval() -> None:
    interval = bootstrap_interval([1.0, 0.0, 1.0], Clusters.of(["p", "p", "p"]))
    assert (interval.low, interval.high, interval.design_effect) == (None, None, None)
    assert "one cluster" in interval.reason
    assert not interval.excludes_zero


def test_few_clusters_have_students_interval() -> None:
    """Two means of ten answers each: 55 with an error of 5, and t of one degree of freedom."""
    scores = [100.0] * 5 + [0.0] * 5 + [100.0] * 6 + [0.0] * 4
    interval = bootstrap_interval(scores, Clusters.of([0] * 10 + [1] * 10))
    assert (interval.low, interval.high) == pytest.approx((55 - 12.706 * 5, 55 + 12.706 * 5), 1e-3)


@pytest.mark.parametrize("num_clusters", [2, 3, 4])
def test_intervals_of_few_clusters_cover(simulate: Simulate, num_clusters: int) -> None:
    rng = np.random.default_rng(num_clusters)
    truth = simulate(rng, 1, 20_000)[0].mean()
    covered = 0
    for _ in range(400):
        (scores,), clusters = simulate(rng, 1, num_clusters)
        found = bootstrap_interval(scores, clusters)
        covered += found.low is not None and found.low <= truth <= found.high
    assert covered >= binom.ppf(0.001, 400, 0.9)


@pytest.mark.parametrize("score", [0.0, 0.1, 100.0])
def test_equal_scores_give_no_interval(score: float) -> None:
    interval = bootstrap_interval([score] * 6, Clusters.of([0, 0, 0, 1, 1, 2]))
    assert interval.mean == pytest.approx(score)
    assert interval.low is None
    assert interval.design_effect is None
    assert "every cluster" in interval.reason


def test_design_effect_is_the_cluster_size_for_equal_answers_and_one_for_single_questions() -> None:
    scores = np.random.default_rng(0).random(400)
    repeated = bootstrap_interval(np.repeat(scores, 5), Clusters.of(np.repeat(range(400), 5)))
    assert repeated.design_effect == pytest.approx(5, rel=0.01)
    single = bootstrap_interval(scores, Clusters.of(range(400)))
    assert single.design_effect == pytest.approx(1)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_outside_zero_to_one_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        bootstrap_interval([0.0, 1.0], Clusters.of([0, 1]), level=level)


def test_higher_level_wider_interval(simulate: Simulate) -> None:
    scores, clusters = simulate(np.random.default_rng(0))
    narrow, wide = (bootstrap_interval(scores, clusters, level) for level in (0.9, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize("num_clusters", [2, 3, 4, 5, 10])
def test_extreme_levels_and_skewed_scores_stay_within_the_scores(num_clusters: int) -> None:
    scores = [100.0] + [0.0] * (num_clusters - 1)
    interval = bootstrap_interval(scores, Clusters.of(range(num_clusters)), level=0.9999)
    if num_clusters < 5:  # Student's ends know nothing of the scores' range
        interval = within(interval, 0, 100)
    assert 0 <= interval.low <= interval.mean <= interval.high <= 100


@given(st.integers(1, 200), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.99]))
@settings(max_examples=50)
def test_wilson_agrees_with_scipy(n: int, share: float, level: float) -> None:
    successes = round(n * share)
    expected = binomtest(successes, n).proportion_ci(level, "wilson")
    assert wilson_interval(successes, n, level) == pytest.approx(tuple(expected), abs=1e-12)


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (0, 0), (3, 2), (-1, 5)])
def test_wilson_refuses_impossible_counts(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="successes"):
        wilson_interval(successes, n)


def test_a_whole_development_set_has_an_interval() -> None:
    rng = np.random.default_rng(0)
    scores, clusters = rng.random(10_570), Clusters.of(rng.integers(2000, size=10_570))
    interval = bootstrap_interval(scores, clusters)
    assert interval.low is not None
    assert interval.high is not None
    assert interval.low < scores.mean() < interval.high


@pytest.mark.slow
@pytest.mark.parametrize("num_clusters", [20, 50, 200])
@pytest.mark.parametrize(("metric", "shift"), [("exact_match", 0), ("exact_match", -3), ("f1", 0)])
def test_intervals_cover_the_true_mean_at_the_nominal_rate(
    simulate: Simulate, num_clusters: int, metric: str, shift: float
) -> None:
    rng = np.random.default_rng(num_clusters)
    truth = simulate(rng, num_clusters=100_000, metric=metric, shift=shift)[0].mean()
    simulations, missed = 2000, 0
    for seed in range(simulations):
        scores, clusters = simulate(rng, 1, num_clusters, metric, shift)
        interval = bootstrap_interval(scores, clusters, draws=1000, seed=seed)
        missed += interval.low is None or not interval.low <= truth <= interval.high
    # Skewed scores in few clusters lose up to one point of coverage.
    nominal = 0.05 if num_clusters >= 50 else 0.06
    assert binom.ppf(0.0005, simulations, 0.04) <= missed
    assert missed <= binom.ppf(0.9995, simulations, nominal)


@pytest.mark.parametrize(("mark", "low", "high"), [(0.0, 0.0, 24.2), (100.0, 75.8, 100.0)])
def test_marks_that_are_all_right_or_all_wrong_have_wilson_s_by_paragraph(
    mark: float, low: float, high: float
) -> None:
    clusters = Clusters.of(np.arange(36) // 3)
    found = within_marks(bootstrap_interval([mark] * 36, clusters), clusters)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.05)
    assert found.reason == ""


def test_the_same_mark_in_between_in_every_paragraph_has_no_interval() -> None:
    clusters = Clusters.of(np.arange(36) // 3)
    found = within_marks(bootstrap_interval([40.0] * 36, clusters), clusters)
    assert (found.low, found.high, found.reason) == (None, None, NO_SPREAD)


def test_all_wrong_in_one_paragraph_has_no_interval() -> None:
    clusters = Clusters.of([0] * 9)
    assert within_marks(bootstrap_interval([0.0] * 9, clusters), clusters).low is None
