"""What each axis of a grid does to the score: main effects, interactions, shares of variance."""

import itertools
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from lorasweep.scoring.stats.clusters import DRAWS, Clusters, Floats, means, score_matrix
from lorasweep.scoring.stats.intervals import Interval, bootstrap_intervals

Point = Mapping[str, Hashable]
Values = tuple[Hashable, ...]


@dataclass(frozen=True, kw_only=True)
class LevelEffect:
    """One value of an axis: its marginal mean, and how far that lies from the axis' mean."""

    value: Hashable
    mean: float
    effect: Interval


@dataclass(frozen=True, kw_only=True)
class AxisEffect:
    """The main effect of an axis, in the order of its values.

    `num_cells` counts the settings of the other axes in which every value was run; only these
    enter, so that no value gains from its company. Where there is none, `levels` is empty.
    """

    axis: str
    levels: tuple[LevelEffect, ...]
    num_cells: int


@dataclass(frozen=True, kw_only=True)
class CellEffect:
    """One pair of values of two axes: its mean, and what it adds to the two main effects."""

    values: Values
    mean: float
    interaction: Interval


@dataclass(frozen=True, kw_only=True)
class VarianceShares:
    """Shares of the variance between runs' means, from 0 to 1.

    `axes` by main effects, `residual` by interactions and chance in training, and `evaluation` by
    the choice of the questions. Where points were run with several seeds, chance is parted from
    interactions: `seeds` is the share between runs of one point, and None where no point has two.
    They add up to 1: a part that is estimated below 0 is taken for 0, and all but `evaluation` are
    scaled to what that leaves.
    """

    axes: dict[str, float]
    residual: float
    evaluation: float
    seeds: float | None = None


def varied_axes(points: Sequence[Point]) -> list[str]:
    """Return the axes that take more than one value, in the order of the first point."""
    return [axis for axis in points[0] if len({point[axis] for point in points}) > 1]


def main_effects(
    points: Sequence[Point],
    scores: ArrayLike,
    clusters: Clusters,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> list[AxisEffect]:
    """Return the main effect of each varied axis, from points [runs] and scores [runs, questions].

    The marginal mean of a value is the mean over all complete cells (settings of the other axes
    in which every value was run; Searle, Speed & Milliken 1980, doi:10.2307/2684063), each cell
    weighing the same. Effects are contrasts of runs on the same questions, so that what all runs
    find hard cancels out; intervals are `bootstrap_intervals`' and share their draws. Raises
    ValueError for points that do not fit the scores.
    """
    matrix = _checked(points, scores, clusters)

    def contrast_intervals(contrasts: Floats) -> list[Interval]:
        return bootstrap_intervals(contrasts @ matrix, clusters, level, draws, seed)

    return [
        _axis_effect(points, axis, means(matrix), contrast_intervals)
        for axis in varied_axes(points)
    ]


def level_weights(points: Sequence[Point], axis: str) -> dict[Hashable, Floats]:
    """Return the weight of every run [runs] in the marginal mean of each value of an axis.

    The means are those of `main_effects`; there are none where no cell is complete.
    """
    weights, _ = _marginal_weights(points, (axis,))
    return {value: row for (value,), row in weights.items()}


def interactions(
    points: Sequence[Point],
    axes: tuple[str, str],
    scores: ArrayLike,
    clusters: Clusters,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> list[CellEffect]:
    """Return the cell means of two axes, and each cell's interaction with its interval.

    The interaction of cell (i, j) is mean_ij - mean_i. - mean_.j + mean_.. over the settings of
    the other axes in which every pair of values was run; the list is empty where there is none.
    """
    matrix = _checked(points, scores, clusters)
    weights, _ = _marginal_weights(points, axes)
    first, second = (_levels(points, axis) for axis in axes)
    if not weights:
        return []
    cells = _array(weights).reshape(len(first), len(second), len(points))
    contrasts = _doubly_centred(cells).reshape(-1, len(points))
    intervals = bootstrap_intervals(contrasts @ matrix, clusters, level, draws, seed)
    cell_means = _array(weights) @ means(matrix)
    return [
        CellEffect(values=values, mean=float(mean), interaction=interval)
        for values, mean, interval in zip(weights, cell_means, intervals, strict=True)
    ]


def variance_shares(
    points: Sequence[Point], scores: ArrayLike, clusters: Clusters
) -> VarianceShares:
    """Return the share of each axis in the variance between runs' means.

    Sums of squares of the additive model: an axis' is what the fit loses without it (type II; in
    a complete grid that of the classical analysis of variance). Evaluation noise of covariance C
    between the runs' means, which is the cluster bootstrap's in its limit of infinitely many
    draws, adds trace(M C) to a sum of squares y' M y; this is taken off every part and shown as
    `evaluation` (the correction of omega squared; Hays 1963). What that takes below 0, and what the
    axes of an incomplete grid share, is shared out by scaling (`_adding_up`).
    """
    matrix = _checked(points, scores, clusters)
    axes = varied_axes(points)
    observed = means(matrix) - matrix.mean()
    # Rounding alone makes equal means differ in their last bits.
    if np.ptp(observed) <= 1e-12 * np.abs(matrix).max():
        return VarianceShares(axes=dict.fromkeys(axes, 0.0), residual=0.0, evaluation=0.0)
    noise = _noise_covariance(matrix, clusters)
    full = _additive_projection(points, axes)
    without = {
        axis: _additive_projection(points, [other for other in axes if other != axis])
        for axis in axes
    }
    alone, of_points = np.eye(len(points)), _projection_onto_points(points)
    is_repeated = not np.array_equal(of_points, alone)
    evaluation = float(np.sum((alone - 1 / len(points)) * noise) / (observed @ observed))
    found = VarianceShares(
        axes={axis: _share(full - without[axis], observed, noise) for axis in axes},
        residual=_share(of_points - full, observed, noise),
        seeds=_share(alone - of_points, observed, noise) if is_repeated else None,
        evaluation=min(1.0, evaluation),
    )
    return _adding_up(found)


def _adding_up(found: VarianceShares) -> VarianceShares:
    """Scale all but the share of the questions' choice to what that leaves of 1."""
    total = sum(found.axes.values()) + found.residual + (found.seeds or 0.0)
    if total == 0:
        return replace(found, evaluation=1.0)
    scale = (1 - found.evaluation) / total
    return VarianceShares(
        axes={axis: scale * share for axis, share in found.axes.items()},
        residual=scale * found.residual,
        seeds=None if found.seeds is None else scale * found.seeds,
        evaluation=found.evaluation,
    )


def _share(projection: Floats, observed: Floats, noise: Floats) -> float:
    """Return the share of a sum of squares in the total one, without what noise adds to it."""
    squares = observed @ projection @ observed - np.sum(projection * noise)
    return max(0.0, float(squares / (observed @ observed)))


def _doubly_centred(cells: Floats) -> Floats:
    """Return cells [first axis, second axis, ...] minus their means over either axis."""
    centred = cells - cells.mean(axis=0, keepdims=True)
    return np.asarray(centred - centred.mean(axis=1, keepdims=True))


def _axis_effect(
    points: Sequence[Point],
    axis: str,
    run_means: Floats,
    contrast_intervals: Callable[[Floats], list[Interval]],
) -> AxisEffect:
    weights, num_cells = _marginal_weights(points, (axis,))
    if not weights:
        return AxisEffect(axis=axis, levels=(), num_cells=0)
    marginal = _array(weights)
    intervals = contrast_intervals(marginal - marginal.mean(axis=0))
    levels = (
        LevelEffect(value=value, mean=float(mean), effect=interval)
        for (value,), mean, interval in zip(weights, marginal @ run_means, intervals, strict=True)
    )
    return AxisEffect(axis=axis, levels=tuple(levels), num_cells=num_cells)


def _checked(points: Sequence[Point], scores: ArrayLike, clusters: Clusters) -> Floats:
    matrix = score_matrix(scores, clusters)
    if len(points) != len(matrix):
        raise ValueError(f"{len(points)} points of the grid for {len(matrix)} rows of scores")
    if any(set(point) != set(points[0]) for point in points):
        raise ValueError("the points of the grid do not have the same axes")
    return matrix


def _levels(points: Sequence[Point], axis: str) -> list[Hashable]:
    """Return the values of an axis: numbers sorted, others as they first appear."""
    values = list(dict.fromkeys(point[axis] for point in points))
    numbers = [value for value in values if isinstance(value, int | float)]
    return [*sorted(numbers)] if len(numbers) == len(values) else values


def _marginal_weights(
    points: Sequence[Point], axes: tuple[str, ...]
) -> tuple[dict[Values, Floats], int]:
    """Return the weight of every run in the marginal mean of each setting of some axes.

    Also returns how many settings of the other axes are complete; without one there are no
    weights.
    """
    settings = list(itertools.product(*(_levels(points, axis) for axis in axes)))
    cells: dict[Values, dict[Values, list[int]]] = {}
    for run, point in enumerate(points):
        rest = tuple(value for axis, value in point.items() if axis not in axes)
        own = tuple(point[axis] for axis in axes)
        cells.setdefault(rest, {}).setdefault(own, []).append(run)
    complete = [cell for cell in cells.values() if len(cell) == len(settings)]
    if not complete:
        return {}, 0
    weights = {setting: np.zeros(len(points)) for setting in settings}
    for cell, (setting, runs) in itertools.product(complete, weights.items()):
        runs[cell[setting]] = 1 / (len(complete) * len(cell[setting]))
    return weights, len(complete)


def _array(weights: Mapping[Values, Floats]) -> Floats:
    return np.array(list(weights.values()))


def _noise_covariance(matrix: Floats, clusters: Clusters) -> Floats:
    """Return the covariance [runs, runs] of the runs' means under sampling of clusters."""
    num_clusters = clusters.num_clusters
    if num_clusters == 1:
        raise ValueError("questions of one cluster show no evaluation noise")
    influences = clusters.sums(matrix - means(matrix)[:, None]) / clusters.num_questions
    return np.asarray(num_clusters / (num_clusters - 1) * influences @ influences.T)


def _projection_onto_points(points: Sequence[Point]) -> Floats:
    """Return the projection [runs, runs] that takes the mean over the runs of each point."""
    keys = [tuple(point.items()) for point in points]
    same = np.array([[float(a == b) for b in keys] for a in keys])
    return np.asarray(same / same.sum(axis=1, keepdims=True))


def _additive_projection(points: Sequence[Point], axes: Sequence[str]) -> Floats:
    """Return the projection [runs, runs] onto an intercept and the values of the axes."""
    columns = [np.ones(len(points))]
    for axis in axes:
        columns += [
            np.array([float(point[axis] == value) for point in points])
            for value in _levels(points, axis)
        ]
    design = np.stack(columns, axis=1)
    return np.asarray(design @ np.linalg.pinv(design))
