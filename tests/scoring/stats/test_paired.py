from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, permutation_test

from lorasweep.scoring.stats.clusters import Clusters
from lorasweep.scoring.stats.paired import (
    Difference,
    holm,
    mcnemar_exact,
    paired_difference,
    paired_differences,
    permutation_p_values,
    sentence,
)

Simulate = Callable[..., tuple[np.ndarray, Clusters]]

P_VALUES = st.lists(st.floats(0, 1), max_size=20)


@given(st.integers(0, 2**32 - 1), st.integers(2, 30))
@settings(max_examples=25)
def test_difference_is_antisymmetric(simulate_seed: int, num_clusters: int) -> None:
    rng = np.random.default_rng(simulate_seed)
    labels = rng.integers(num_clusters, size=80)
    a, b = rng.integers(3, size=(2, 80)) * 50.0
    forth = paired_difference(a, b, Clusters.of(labels), draws=300)
    back = paired_difference(b, a, Clusters.of(labels), draws=300)
    assert back.mean == pytest.approx(-forth.mean)
    assert back.p_value == forth.p_value
    if forth.low is None or forth.high is None:
        # Both clusters of two may happen to show the same difference.
        assert (back.low, back.high, back.reason) == (None, None, forth.reason)
        return
    assert (back.low, back.high) == pytest.approx((-forth.high, -forth.low), abs=1e-9)


@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
@settings(max_examples=25)
def test_order_of_questions_decides_nothing(seed: int, num_clusters: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(num_clusters, size=60)
    a, b = rng.integers(2, size=(2, 60)) * 1.0
    order = rng.permutation(60)
    before = paired_difference(a, b, Clusters.of(labels), draws=200)
    after = paired_difference(a[order], b[order], Clusters.of(labels[order]), draws=200)
    assert after.p_value == before.p_value
    assert after.mean == pytest.approx(before.mean)


def test_few_clusters_are_enumerated() -> None:
    differences = np.array([3.0, 1.0, 2.0, -0.5, 4.0, 1.5])
    reference = permutation_test(
        (differences,), np.sum, permutation_type="samples", alternative="two-sided"
    )
    (p,) = permutation_p_values(differences, Clusters.of(range(6)))
    assert p == pytest.approx(reference.pvalue)


def test_enumeration_does_not_care_for_names_of_clusters() -> None:
    rng = np.random.default_rng(0)
    labels, differences = rng.integers(8, size=40), rng.normal(0.3, 1, 40)
    renamed = rng.permutation(8)[labels]
    p, p_renamed = (permutation_p_values(differences, Clusters.of(x)) for x in (labels, renamed))
    assert p == p_renamed


def test_sampling_agrees_with_enumeration(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    differences, clusters = rng.normal(0.3, 1, 36), Clusters.of(np.repeat(range(12), 3))
    exact = permutation_p_values(differences, clusters)
    monkeypatch.setattr("lorasweep.scoring.stats.paired.MAX_ENUMERATED_CLUSTERS", 0)
    sampled = permutation_p_values(differences, clusters)
    assert sampled == pytest.approx(exact, abs=0.02)
    assert sampled != exact


def test_clusters_without_a_difference_decide_nothing() -> None:
    p = permutation_p_values([1.0] * 5 + [0.0] * 50, Clusters.of(range(55)))
    assert p == pytest.approx(2 / 2**5)


def test_p_value_is_never_zero() -> None:
    p = permutation_p_values([1.0] * 100, Clusters.of(range(100)), draws=999)
    assert p == pytest.approx(1 / 1000)


def test_one_cluster_and_equal_runs_have_p_one() -> None:
    assert permutation_p_values([1.0, 1.0, 1.0], Clusters.of([0, 0, 0])) == 1
    assert permutation_p_values([0.0, 0.0], Clusters.of([0, 1])) == 1


def test_many_comparisons_are_corrected_together(simulate: Simulate) -> None:
    scores, clusters = simulate(np.random.default_rng(0), num_runs=4)
    differences = paired_differences(scores[1:], scores[0], clusters)
    alone = paired_difference(scores[2], scores[0], clusters)
    assert differences[1].p_value == alone.p_value
    assert (differences[1].low, differences[1].high) == pytest.approx((alone.low, alone.high))
    adjusted = holm([difference.p_value for difference in differences])
    assert [d.adjusted_p_value for d in differences] == adjusted.tolist()
    assert alone.adjusted_p_value is None


@pytest.mark.parametrize(
    ("only_a", "only_b", "p"), [(0, 0, 1.0), (5, 0, 2 / 32), (3, 3, 1.0), (1, 7, 18 / 256)]
)
def test_mcnemar_counts_discordant_questions(only_a: int, only_b: int, p: float) -> None:
    a = [100.0] * only_a + [0.0] * only_b + [100.0, 0.0]
    b = [0.0] * only_a + [100.0] * only_b + [100.0, 0.0]
    assert mcnemar_exact(a, b) == pytest.approx(p)
    assert mcnemar_exact(b, a) == pytest.approx(p)


def test_mcnemar_refuses_partly_right_answers_and_unequal_lengths() -> None:
    with pytest.raises(ValueError, match="right"):
        mcnemar_exact([0.0, 0.5], [1.0, 0.0])
    with pytest.raises(ValueError, match="2 answers beside 1"):
        mcnemar_exact([0.0, 1.0], [1.0])


@given(P_VALUES)
@settings(max_examples=60)
def test_holm_is_monotone_and_never_below_the_raw_value(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert (adjusted >= np.array(p_values)).all()
    assert (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(p_values, kind="stable")]) >= 0).all()


def test_holm_on_a_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@pytest.fixture
def shown() -> Difference:
    rng = np.random.default_rng(0)
    b = rng.random(1000) * 100
    a = b + rng.normal(1.2, 5, 1000)
    difference = paired_difference(a, b, Clusters.of(rng.integers(212, size=1000)))
    return replace(difference, mean=1.2, low=0.3, high=2.1)


def test_sentence_claims_what_is_shown(shown: Difference) -> None:
    assert sentence("rank 16", "rank 4", "F1", shown) == (
        "rank 16 is 1.2 F1 better than rank 4, 95 % interval 0.3 to 2.1; "
        f"n = 1,000 questions in {shown.num_clusters} paragraphs"
    )


def test_sentence_names_the_better_run_first(shown: Difference) -> None:
    mirrored = replace(shown, mean=-1.2, low=-2.1, high=-0.3)
    forth = sentence("rank 16", "rank 4", "F1", shown)
    assert sentence("rank 4", "rank 16", "F1", mirrored) == forth


@pytest.mark.parametrize(
    "change", [{"low": -0.3}, {"p_value": 0.06}, {"adjusted_p_value": 0.06}], ids=str
)
def test_sentence_claims_nothing_else(shown: Difference, change: dict[str, float]) -> None:
    text = sentence("rank 16", "rank 4", "F1", replace(shown, **change))
    assert "better" not in text
    assert text.startswith("rank 16 and rank 4 are not shown to differ: +1.2 F1, 95 % interval ")
    assert "p = " in text


def test_sentence_says_why_there_is_no_interval() -> None:
    difference = paired_difference([1.0, 0.0], [0.0, 0.0], Clusters.of(["p", "p"]))
    text = sentence("a", "b", "EM", difference)
    assert "not shown to differ" in text
    assert "one cluster" in text
    assert "n = 2 questions in 1 paragraph" in text


@pytest.mark.slow
@pytest.mark.parametrize("num_clusters", [50, 200])
@pytest.mark.parametrize("metric", ["exact_match", "f1"])
def test_equal_runs_differ_at_most_at_the_nominal_rate(
    simulate: Simulate, metric: str, num_clusters: int
) -> None:
    rng = np.random.default_rng(num_clusters)
    simulations, by_test, by_interval = 1500, 0, 0
    for seed in range(simulations):
        (a, b), clusters = simulate(rng, 2, num_clusters, metric)
        difference = paired_difference(a, b, clusters, draws=1000, seed=seed)
        by_test += difference.p_value <= 0.05
        by_interval += difference.excludes_zero
    assert by_test <= binom.ppf(0.999, simulations, 0.05)
    assert by_interval <= binom.ppf(0.999, simulations, 0.06 if num_clusters == 50 else 0.05)


@pytest.mark.slow
def test_mcnemar_errs_where_questions_share_a_paragraph(simulate: Simulate) -> None:
    rng = np.random.default_rng(0)
    rejected = 0
    for _ in range(1000):
        (a, b), _ = simulate(rng, 2, 200)
        rejected += mcnemar_exact(a, b) <= 0.05
    assert rejected > binom.ppf(0.999, 1000, 0.05)
