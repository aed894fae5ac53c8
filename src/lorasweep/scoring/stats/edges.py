"""The edge of a grid: whether the best value of an axis is the last one tried."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lorasweep.scoring.stats.ablation import Point, level_weights
from lorasweep.scoring.stats.clusters import Floats


@dataclass(frozen=True, kw_only=True)
class EdgeWarning:
    """The best value of an axis is the last one tried; `suggestion` is the next one outside."""

    axis: str
    value: float
    suggestion: float

    def __str__(self) -> str:
        return (
            f"the best {self.axis} ({self.value:g}) lies at the edge of the grid; "
            f"try {self.suggestion:g} too"
        )


def level_means(points: Sequence[Point], axis: str, run_means: Floats) -> dict[Hashable, float]:
    """Return the mean score of each value of an axis, from scores [runs].

    The marginal means of `main_effects`; where no setting of the other axes was run with every
    value (after a race, say), the score of each value's best run.
    """
    if weights := level_weights(points, axis):
        return {value: float(row @ run_means) for value, row in weights.items()}
    best: dict[Hashable, float] = {}
    for point, score in zip(points, run_means, strict=True):
        best[point[axis]] = max(float(score), best.get(point[axis], -np.inf))
    return best


def edge_warning(
    axis: str, values: Collection[float], scores: Mapping[Hashable, float]
) -> EdgeWarning | None:
    """Warn if the best of the values tried on an axis is the smallest or the largest of them.

    A value without a score, whose runs all failed or lost a race, counts as worse than all others.
    The suggestion goes one step on: the last ratio again where the steps are geometric, else the
    last difference. There is none below 0, nor below 1 for whole numbers.
    """
    ordered = sorted(set(values))
    found = [scores.get(value, -np.inf) for value in ordered]
    if len(ordered) < 2 or found.count(max(found)) > 1:
        return None
    best = found.index(max(found))
    if best not in (0, len(ordered) - 1):
        return None
    suggestion = _next_value(ordered if best else ordered[::-1])
    if suggestion is None:
        return None
    return EdgeWarning(axis=axis, value=ordered[best], suggestion=suggestion)


def _next_value(outwards: Sequence[float]) -> float | None:
    """Return the value one step beyond the last one, or None where it cannot be one."""
    last, before = outwards[-1], outwards[-2]
    is_whole = all(isinstance(value, int) for value in outwards)
    following = last * (last / before) if _is_geometric(outwards) else last + (last - before)
    following = round(following) if is_whole else float(f"{following:.2g}")
    lowest = 1 if is_whole else 0
    return following if following >= lowest and following not in outwards else None


def _is_geometric(values: Sequence[float]) -> bool:
    """Return whether the ratios of positive values vary less than their differences."""
    if min(values) <= 0:
        return False
    ratios = np.diff(np.log(values))
    differences = np.diff(values)
    return bool(
        ratios.std() / abs(ratios.mean()) <= differences.std() / abs(differences.mean()) + 1e-9
    )
