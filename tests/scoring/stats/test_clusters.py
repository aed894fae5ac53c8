from collections.abc import Callable

import numpy as np
import pytest

from lorasweep.scoring.stats.clusters import (
    Clusters,
    bootstrap_means,
    cluster_variances,
    score_matrix,
    signs,
)

Simulate = Callable[..., tuple[np.ndarray, Clusters]]


def test_clusters_are_numbered_by_sorted_label() -> None:
    clusters = Clusters.of(["b", "a", "b", "c"])
    assert clusters.index.tolist() == [1, 0, 1, 2]
    assert clusters.sizes.tolist() == [1, 2, 1]
    assert (clusters.num_questions, clusters.num_clusters) == (4, 3)


def test_sums_add_up_each_row_within_clusters() -> None:
    clusters = Clusters.of(["b", "a", "b"])
    scores = np.array([[1.0, 2.0, 4.0], [0.0, 1.0, 0.5]])
    assert clusters.sums(scores).tolist() == [[2.0, 5.0], [1.0, 0.5]]


def test_no_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="no questions"):
        Clusters.of([])


@pytest.mark.parametrize("scores", [[1.0, 2.0], [1.0, 2.0, float("nan")], [[[1.0, 2.0, 3.0]]]])
def test_scores_that_do_not_fit_are_refused(scores: list[float]) -> None:
    with pytest.raises(ValueError, match=r"scores of shape|not finite"):
        score_matrix(scores, Clusters.of([1, 2, 3]))


def test_drawn_means_are_ratios_of_whole_clusters() -> None:
    clusters = Clusters.of([0, 0, 0, 1])
    drawn = bootstrap_means(np.array([[1.0, 1.0, 1.0, 0.0]]), clusters, draws=500, seed=0)
    assert set(np.round(drawn[:, 0], 12)) == {0.0, 0.75, 1.0}


def test_drawn_means_do_not_depend_on_the_other_rows(simulate: Simulate) -> None:
    scores, clusters = simulate(np.random.default_rng(0), num_runs=3)
    together = bootstrap_means(scores, clusters, draws=200, seed=3)
    alone = bootstrap_means(scores[1:2], clusters, draws=200, seed=3)
    np.testing.assert_allclose(together[:, 1:2], alone, rtol=1e-12)


def test_drawn_means_do_not_depend_on_the_blocks(
    simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores, clusters = simulate(np.random.default_rng(0))
    in_one = bootstrap_means(scores, clusters, draws=100, seed=0)
    monkeypatch.setattr("lorasweep.scoring.stats.clusters.BLOCK_ENTRIES", 7 * clusters.num_clusters)
    np.testing.assert_allclose(bootstrap_means(scores, clusters, 100, 0), in_one, rtol=1e-12)


def test_cluster_variance_of_single_questions_is_the_plain_one() -> None:
    scores = np.random.default_rng(0).random((2, 40))
    plain = scores.var(axis=1, ddof=1) / 40
    np.testing.assert_allclose(cluster_variances(scores, Clusters.of(range(40))), plain)


def test_cluster_variance_agrees_with_the_bootstrap(simulate: Simulate) -> None:
    scores, clusters = simulate(np.random.default_rng(0), num_clusters=200)
    drawn = bootstrap_means(scores, clusters, draws=4000, seed=0)
    np.testing.assert_allclose(cluster_variances(scores, clusters), drawn.var(axis=0), rtol=0.1)


def test_signs_are_plus_and_minus_one() -> None:
    drawn = np.concatenate(list(signs(1000, 20, seed=0)))
    assert drawn.shape == (1000, 20)
    assert set(np.unique(drawn)) == {-1.0, 1.0}
    assert abs(drawn.mean()) < 0.05
