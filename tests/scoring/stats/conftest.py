"""Simulated scores of questions in clusters, shared by the tests of the statistics."""

from collections.abc import Callable

import numpy as np
import pytest

from lorasweep.scoring.stats.clusters import Clusters

Simulate = Callable[..., tuple[np.ndarray, Clusters]]


def simulated_scores(
    rng: np.random.Generator,
    num_runs: int = 1,
    num_clusters: int = 50,
    metric: str = "exact_match",
    shift: float = 0.0,
) -> tuple[np.ndarray, Clusters]:
    """Scores [runs, questions] of equally good runs whose questions share their paragraph's ease.

    `shift` is added to the latent ability: -1.6 gives an accuracy near 20 %.
    """
    sizes = 1 + rng.poisson(4, num_clusters)
    labels = np.repeat(np.arange(num_clusters), sizes)
    ease = rng.normal(0, 1.2, num_clusters)[labels] + rng.normal(0, 1.5, len(labels))
    own = rng.normal(0, 0.8, (num_runs, num_clusters))[:, labels]
    latent = shift + ease + own + rng.normal(0, 1, (num_runs, len(labels)))
    right = (latent > 0).astype(float)
    if metric == "f1":
        partly = rng.beta(2, 2, right.shape) * (rng.random(right.shape) < 0.4)
        right = np.where(right > 0, 1.0, partly)
    return 100 * right, Clusters.of(labels)


@pytest.fixture
def simulate() -> Simulate:
    return simulated_scores
