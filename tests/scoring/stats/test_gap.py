"""The gap between two sets: its interval errs as often as it says, where there can be one."""

import numpy as np
import pytest

from lorasweep.scoring.stats.clusters import Clusters
from lorasweep.scoring.stats.gap import gap_intervals
from lorasweep.scoring.stats.intervals import bootstrap_interval


def drawn(rng: np.random.Generator, num_clusters: int, mean: float) -> tuple[np.ndarray, Clusters]:
    """Return skewed losses in clusters of one to eight units that have something in common."""
    labels = np.repeat(np.arange(num_clusters), rng.integers(1, 9, num_clusters))
    common = rng.exponential(0.5, num_clusters)[labels]
    return mean - 1 + common + rng.exponential(0.5, len(labels)), Clusters.of(labels)


@pytest.mark.parametrize(("one", "other"), [(20, 20), (60, 20)])
def test_intervals_hold_the_gap_as_often_as_they_say(one: int, other: int) -> None:
    rng, held = np.random.default_rng(one + other), 0
    for _ in range(400):
        (gap,) = gap_intervals(*drawn(rng, one, 2.0), *drawn(rng, other, 1.7), draws=400)
        assert gap.low is not None
        assert gap.high is not None
        held += gap.low <= 0.3 <= gap.high
    assert 0.925 <= held / 400 <= 0.985  # three standard errors below 95 %, wide above


def test_a_set_without_spread_leaves_the_interval_of_the_other() -> None:
    losses, clusters = drawn(np.random.default_rng(0), 30, 2.0)
    fixed = Clusters.of(np.arange(30))
    (gap,) = gap_intervals(losses, clusters, np.ones(30), fixed)
    alone = bootstrap_interval(losses, clusters)
    assert gap.mean == pytest.approx(alone.mean - 1)
    assert (gap.low, gap.high) == pytest.approx((alone.low - 1, alone.high - 1))


def test_one_set_less_the_other_is_the_other_way_round_with_the_sign_turned() -> None:
    rng = np.random.default_rng(1)
    one, other = drawn(rng, 25, 2.0), drawn(rng, 25, 1.0)
    (there,), (back,) = gap_intervals(*one, *other), gap_intervals(*other, *one)
    assert there.mean == -back.mean
    assert there.low == pytest.approx(-back.high, rel=0.1)


def test_rows_are_independent_of_what_stands_beside_them() -> None:
    rng = np.random.default_rng(2)
    (losses, clusters), (others, others_clusters) = drawn(rng, 9, 2.0), drawn(rng, 12, 1.0)
    both = gap_intervals([losses, losses**2], clusters, [others, others**2], others_clusters)
    assert both[0] == gap_intervals(losses, clusters, others, others_clusters)[0]
    assert both[1].mean == pytest.approx((losses**2).mean() - (others**2).mean())


def test_what_cannot_be_had_is_said() -> None:
    losses, clusters = drawn(np.random.default_rng(3), 9, 2.0)
    one = Clusters.of(["a", "a"])
    (gap,) = gap_intervals(losses, clusters, [1.0, 2.0], one)
    assert (gap.low, gap.high) == (None, None)
    assert "one cluster" in gap.reason
    (few,) = gap_intervals(losses, clusters, [1.0, 2.0], Clusters.of(["a", "b"]))
    assert few.low < few.mean - 12 * 0.5 < few.mean + 12 * 0.5 < few.high
    (flat,) = gap_intervals(np.ones(2), Clusters.of([0, 1]), np.ones(3), Clusters.of([0, 1, 2]))
    assert flat.low is None
    assert "the same in every cluster" in flat.reason
    with pytest.raises(ValueError, match="2 rows of scores on one set, 1 on the other"):
        gap_intervals([losses, losses], clusters, losses, clusters)
