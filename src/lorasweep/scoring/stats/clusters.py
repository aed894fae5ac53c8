"""Questions in clusters, and means of clusters drawn again.

Questions about one paragraph are not independent, so the paragraph, not the question, is what
is sampled: everything in this package draws or flips whole clusters.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

DRAWS = 10_000
# Entries of one block of counts: 16 MB, which stays near the cache.
BLOCK_ENTRIES = 2**21


@dataclass(frozen=True, eq=False, slots=True)
class Clusters:
    """Which cluster each question belongs to.

    `index` [questions] numbers the clusters from 0 in the order of their sorted labels, so that
    the order of the questions decides nothing; `sizes` [clusters] counts their questions.
    """

    index: Integers
    sizes: Integers

    @classmethod
    def of(cls, labels: Sequence[Hashable] | NDArray[np.generic]) -> "Clusters":
        """Group questions by their labels [questions]; ValueError where there is none."""
        if len(labels) == 0:
            raise ValueError("there are no questions to group")
        _, index, sizes = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
        return cls(index.astype(np.int64), sizes.astype(np.int64))

    @property
    def num_clusters(self) -> int:
        """Return how many clusters there are."""
        return len(self.sizes)

    @property
    def num_questions(self) -> int:
        """Return how many questions there are."""
        return len(self.index)

    def sums(self, scores: Floats) -> Floats:
        """Add up scores [rows, questions] within each cluster: [rows, clusters]."""
        rows = [np.bincount(self.index, row, self.num_clusters) for row in scores]
        return np.stack(rows)


def score_matrix(scores: ArrayLike, clusters: Clusters) -> Floats:
    """Return scores as a matrix [rows, questions]; a vector becomes one row.

    Raises ValueError where the number of questions differs or a score is not finite.
    """
    matrix = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    if matrix.ndim != 2 or matrix.shape[1] != clusters.num_questions:
        raise ValueError(
            f"scores of shape {np.shape(scores)} for {clusters.num_questions} questions"
        )
    if not np.isfinite(matrix).all():
        raise ValueError("a score is not finite")
    return matrix


def means(matrix: Floats) -> Floats:
    """Return the mean score of each row of [rows, questions]."""
    return np.asarray(matrix.mean(axis=1))


def bootstrap_means(matrix: Floats, clusters: Clusters, draws: int, seed: int) -> Floats:
    """Return the mean score of each row in each draw of the cluster bootstrap: [draws, rows].

    A draw takes as many clusters as there are, with replacement, and all their questions; the
    mean is the ratio of the drawn sums to the drawn number of questions (Davison & Hinkley 1997,
    section 3.8). All rows share the draws, which depend on the clusters and the seed only: a
    difference of two columns is a paired difference, and a run's draws are the same whichever
    other runs stand beside it.
    """
    sums_and_sizes = np.vstack([clusters.sums(matrix), clusters.sizes]).T
    blocks = []
    for counts in bootstrap_counts(clusters, draws, seed):
        totals = counts @ sums_and_sizes
        blocks.append(totals[:, :-1] / totals[:, -1:])
    return np.concatenate(blocks)


def bootstrap_counts(clusters: Clusters, draws: int, seed: int) -> Iterator[Floats]:
    """Yield blocks [some draws, clusters] of how often each cluster is drawn."""
    rng = np.random.default_rng(seed)
    for block in _block_sizes(draws, clusters.num_clusters):
        yield _drawn_counts(rng, block, clusters.num_clusters)


def cluster_variances(matrix: Floats, clusters: Clusters) -> Floats:
    """Return the variance of each row's mean under sampling of clusters: [rows].

    The linearised variance of the ratio estimator (Cochran 1977, section 6.3; Liang & Zeger 1986)
    with G clusters, sums s_g, sizes n_g and N = sum n_g:

        G / (G - 1) * sum_g (s_g - mean * n_g)^2 / N^2

    One cluster shows no variance: the result is then infinite.
    """
    num_clusters = clusters.num_clusters
    if num_clusters == 1:
        return np.full(len(matrix), np.inf)
    residuals = clusters.sums(matrix - means(matrix)[:, None])
    spread = np.square(residuals).sum(axis=1)
    return np.asarray(num_clusters / (num_clusters - 1) * spread / clusters.num_questions**2)


def signs(draws: int, num_clusters: int, seed: int) -> Iterator[Floats]:
    """Yield blocks [some draws, clusters] of independent random signs, +1 or -1."""
    rng = np.random.default_rng(seed)
    for block in _block_sizes(draws, num_clusters):
        heads = rng.integers(2, size=(block, num_clusters), dtype=np.int8)
        yield 2 * heads.astype(np.float64) - 1


def _drawn_counts(rng: np.random.Generator, draws: int, num_clusters: int) -> Floats:
    """Return how often each cluster is drawn: multinomial counts [draws, clusters].

    Counting uniform draws is many times faster than the generator's own multinomial.
    """
    drawn = rng.integers(num_clusters, size=(draws, num_clusters))
    drawn += num_clusters * np.arange(draws)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=draws * num_clusters)
    return counts.reshape(draws, num_clusters).astype(np.float64)


def _block_sizes(draws: int, num_clusters: int) -> list[int]:
    block = max(1, min(draws, BLOCK_ENTRIES // num_clusters))
    return [min(block, draws - start) for start in range(0, draws, block)]
