import itertools
from collections.abc import Callable

import numpy as np
import pytest

from lorasweep.scoring.stats.ablation import (
    interactions,
    main_effects,
    variance_shares,
    varied_axes,
)
from lorasweep.scoring.stats.clusters import Clusters
from lorasweep.scoring.stats.intervals import bootstrap_interval

Simulate = Callable[..., tuple[np.ndarray, Clusters]]
Graded = tuple[np.ndarray, Clusters]

RANKS, RATES, TARGETS = (2, 4, 8), (1e-4, 1e-3), ("attn", "all")
RANK_GAIN = {2: -3.0, 4: 0.0, 8: 3.0}
RATE_GAIN = {1e-4: -1.0, 1e-3: 1.0}
POINTS = [
    {"rank": rank, "lr": rate, "targets": targets, "seed": 0}
    for rank, rate, targets in itertools.product(RANKS, RATES, TARGETS)
]


@pytest.fixture
def graded(simulate: Simulate) -> Graded:
    """Scores with known main effects, plus noise that has the same mean in every run."""
    rng = np.random.default_rng(0)
    common, clusters = simulate(rng, 1, 80, "f1")
    noise = rng.normal(0, 5, (len(POINTS), common.shape[1]))
    noise -= noise.mean(axis=1, keepdims=True)
    gains = [RANK_GAIN[p["rank"]] + RATE_GAIN[p["lr"]] for p in POINTS]
    return common + noise + np.array(gains)[:, None], clusters


def test_only_axes_with_several_values_vary() -> None:
    assert varied_axes(POINTS) == ["rank", "lr", "targets"]


def test_main_effects_are_found(graded: Graded) -> None:
    rank, rate, targets = main_effects(POINTS, *graded, draws=1000)
    assert (rank.num_cells, rate.num_cells, targets.num_cells) == (4, 6, 6)
    assert {x.value: x.effect.mean for x in rank.levels} == pytest.approx(RANK_GAIN)
    assert {x.value: x.effect.mean for x in rate.levels} == pytest.approx(RATE_GAIN)
    assert [x.effect.mean for x in targets.levels] == pytest.approx([0, 0], abs=1e-9)
    assert rank.levels[2].mean == pytest.approx(graded[0].mean() + 3)


def test_effects_are_much_surer_than_scores(graded: Graded) -> None:
    rank = main_effects(POINTS, *graded, draws=1000)[0]
    effect = rank.levels[0].effect
    alone = bootstrap_interval(graded[0][0], graded[1], draws=1000)
    assert effect.low < -3 < effect.high < 0
    assert effect.high - effect.low < (alone.high - alone.low) / 5


def test_incomplete_cells_do_not_enter(graded: Graded) -> None:
    scores, clusters = graded
    lone = {"rank": 8, "lr": 0.1, "targets": "all", "seed": 0}
    extended = np.vstack([scores, scores[:1] * 0])
    rank = main_effects([*POINTS, lone], extended, clusters, draws=100)[0]
    assert rank.num_cells == 4
    assert {x.value: x.effect.mean for x in rank.levels} == pytest.approx(RANK_GAIN)


def test_repeats_of_a_point_share_its_weight(graded: Graded) -> None:
    scores, clusters = graded
    twice = main_effects([*POINTS, POINTS[0]], np.vstack([scores, scores[:1]]), clusters, draws=99)
    once = main_effects(POINTS, scores, clusters, draws=99)
    assert twice[0].levels[0].mean == pytest.approx(once[0].levels[0].mean)


def test_an_axis_without_a_complete_cell_has_no_levels(graded: Graded) -> None:
    scores, clusters = graded
    points = [{"rank": 2, "lr": 1e-4}, {"rank": 4, "lr": 1e-3}]
    for effect in main_effects(points, scores[:2], clusters, draws=99):
        assert (effect.levels, effect.num_cells) == ((), 0)
    assert interactions(points, ("rank", "lr"), scores[:2], clusters, draws=99) == []


def test_additive_gains_do_not_interact(graded: Graded) -> None:
    cells = interactions(POINTS, ("rank", "lr"), *graded, draws=1000)
    assert [cell.values for cell in cells] == list(itertools.product(RANKS, RATES))
    assert [cell.interaction.mean for cell in cells] == pytest.approx([0] * 6, abs=1e-9)
    grand = graded[0].mean()
    assert [c.mean - grand for c in cells] == pytest.approx([-4, -2, -1, 1, 2, 4])


def test_an_interaction_is_found(graded: Graded) -> None:
    scores, clusters = graded
    bad = np.array([p["rank"] == 8 and p["lr"] == 1e-3 for p in POINTS])
    cells = interactions(POINTS, ("rank", "lr"), scores - 12.0 * bad[:, None], clusters, draws=1000)
    found = {cell.values: cell.interaction for cell in cells}
    assert found[8, 1e-3].mean == pytest.approx(-12 * (2 / 3) * (1 / 2))
    assert found[8, 1e-3].high < 0


def test_shares_add_up_and_name_the_strong_axis(graded: Graded) -> None:
    shares = variance_shares(POINTS, *graded)
    gains = np.array([RANK_GAIN[p["rank"]] + RATE_GAIN[p["lr"]] for p in POINTS])
    assert shares.axes["rank"] == pytest.approx(6 / gains.var(), rel=0.05)
    assert shares.axes["lr"] == pytest.approx(1 / gains.var(), rel=0.2)
    assert shares.axes["targets"] == pytest.approx(0, abs=0.01)
    assert shares.residual == pytest.approx(0, abs=0.01)
    assert 0 < shares.evaluation < 0.1


def test_several_seeds_part_chance_from_interactions(graded: Graded) -> None:
    """Each point twice, one repetition 2 points above the other, and one pair of values worse."""
    scores, clusters = graded
    bad = np.array([p["rank"] == 8 and p["lr"] == 1e-3 for p in POINTS])
    once = scores - 6.0 * bad[:, None]
    shares = variance_shares([*POINTS, *POINTS], np.vstack([once + 1, once - 1]), clusters)
    means = np.concatenate([once.mean(1) + 1, once.mean(1) - 1])
    assert shares.seeds == pytest.approx(1 / means.var(), rel=0.1)
    assert shares.residual > 0.05
    assert sum(shares.axes.values()) + shares.residual + shares.seeds == pytest.approx(
        1 - shares.evaluation, abs=0.02
    )
    assert variance_shares(POINTS, scores, clusters).seeds is None


def test_equal_runs_leave_nothing_but_evaluation_noise(simulate: Simulate) -> None:
    shares = []
    for seed in range(20):
        scores, clusters = simulate(np.random.default_rng(seed), len(POINTS))
        shares.append(variance_shares(POINTS, scores, clusters))
    assert np.mean([s.evaluation for s in shares]) > 0.8
    assert np.mean([s.axes["rank"] for s in shares]) < 0.15


@pytest.mark.parametrize("points", [POINTS, POINTS[1:], [*POINTS, *POINTS]])
@pytest.mark.parametrize("seed", range(5))
def test_shares_add_up_whatever_is_estimated_below_0(
    simulate: Simulate, points: list[dict[str, object]], seed: int
) -> None:
    scores, clusters = simulate(np.random.default_rng(seed), len(points))
    found = variance_shares(points, scores, clusters)
    parts = [*found.axes.values(), found.residual, found.seeds or 0.0, found.evaluation]
    assert min(parts) >= 0
    assert sum(parts) == pytest.approx(1)


def test_identical_runs_share_nothing(graded: Graded) -> None:
    scores, clusters = graded
    shares = variance_shares(POINTS, np.repeat(scores[:1], len(POINTS), axis=0), clusters)
    assert (set(shares.axes.values()), shares.residual, shares.evaluation) == ({0.0}, 0.0, 0.0)


def test_points_that_do_not_fit_are_refused(graded: Graded) -> None:
    scores, clusters = graded
    with pytest.raises(ValueError, match="11 points"):
        main_effects(POINTS[1:], scores, clusters)
    with pytest.raises(ValueError, match="same axes"):
        main_effects([{"rank": 1}, *POINTS[1:]], scores, clusters)
    with pytest.raises(ValueError, match="one cluster"):
        variance_shares(POINTS, scores, Clusters.of([0] * clusters.num_questions))
