from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from lorasweep.scoring.stats.clusters import Clusters
from lorasweep.scoring.stats.paired import paired_difference
from lorasweep.scoring.stats.power import questions_to_settle

Simulate = Callable[..., tuple[np.ndarray, Clusters]]
Observed = tuple[np.ndarray, Clusters]


@pytest.fixture
def observed(simulate: Simulate) -> Observed:
    (a, b), clusters = simulate(np.random.default_rng(0), num_runs=2, num_clusters=100)
    return a - b, clusters


def test_what_the_present_set_settles_needs_the_present_set(observed: Observed) -> None:
    smallest = questions_to_settle(*observed, difference=1.0).smallest_difference
    again = questions_to_settle(*observed, difference=smallest * (1 + 1e-9))
    assert again.num_clusters == 100
    assert again.num_questions == observed[1].num_questions


def test_half_the_difference_needs_four_times_the_questions(observed: Observed) -> None:
    coarse, fine = (questions_to_settle(*observed, difference=d) for d in (1.0, 0.5))
    assert fine.num_questions / coarse.num_questions == pytest.approx(4, rel=0.01)
    assert fine.num_questions == pytest.approx(fine.num_clusters * fine.mean_cluster_size, abs=1)


def test_sign_of_the_difference_does_not_matter(observed: Observed) -> None:
    up, down = (questions_to_settle(*observed, difference=d) for d in (2.0, -2.0))
    assert up.num_questions == down.num_questions


def test_more_power_needs_more_questions(observed: Observed) -> None:
    some, more = (questions_to_settle(*observed, difference=2.0, power=p) for p in (0.8, 0.95))
    assert more.num_questions > some.num_questions
    assert more.smallest_difference > some.smallest_difference


def test_the_textbook_value_for_independent_questions() -> None:
    differences = np.tile([1.0, -1.0], 5000)
    found = questions_to_settle(differences, Clusters.of(range(10_000)), difference=0.1)
    # (1.960 + 0.842)^2 / 0.1^2 = 784.9, and two more for Student's t
    assert found.num_questions == pytest.approx(787, abs=1)
    assert found.design_effect == pytest.approx(1)


@pytest.mark.parametrize(
    ("differences", "labels"), [([1.0, 0.0], ["p", "p"]), ([0.0, 0.0], ["p", "q"])]
)
def test_one_cluster_and_equal_answers_tell_nothing(
    differences: list[float], labels: list[str]
) -> None:
    found = questions_to_settle(differences, Clusters.of(labels), difference=1.0)
    assert found.num_questions is None
    assert found.smallest_difference is None
    assert found.standard_error is None


def test_no_difference_is_refused(observed: Observed) -> None:
    with pytest.raises(ValueError, match="difference of 0"):
        questions_to_settle(*observed, difference=0.0)


@pytest.mark.slow
def test_the_promised_number_of_clusters_has_the_promised_power(simulate: Simulate) -> None:
    rng = np.random.default_rng(0)
    (a, b), clusters = simulate(rng, 2, 20_000)
    needed = questions_to_settle(a - b, clusters, difference=5.0).num_clusters
    settled = 0
    for seed in range(1000):
        (a, b), clusters = simulate(rng, 2, needed)
        settled += paired_difference(a + 5, b, clusters, draws=1000, seed=seed).p_value <= 0.05
    assert binom.ppf(0.001, 1000, 0.78) <= settled <= binom.ppf(0.999, 1000, 0.82)
