"""What each axis of the grid does to F1: effects, interactions, shares of variance, grid edges."""

import itertools
import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from lorasweep import stats
from lorasweep.analysis.answers import Answers
from lorasweep.analysis.comparisons import bounds
from lorasweep.findings import Ablation, Axis, Cell, Edge, Interaction, Level, Value
from lorasweep.stats.ablation import Point
from lorasweep.stats.clusters import Floats
from lorasweep.study import Grid

# What a method cannot be measured by: a seed names a repetition of the same training.
AXES = ("targets", "rank", "lr", "alpha", "dropout", "scaling", "lr_ratio")
NO_CELL = "no setting of the other axes was run with all of its values"
Tables = Sequence[Mapping[str, Any]]


def ablation(answers: Answers, configurations: Tables, grid: Tables) -> Ablation:
    """Return the effects of the axes over the configurations as written.

    Configurations that share a run have its scores each, so that a grid stays complete. `grid`
    holds the study's tables of axes, for the options that extend them.
    """
    points, rows = points_of([run.id for run in answers.runs], configurations)
    if not points:
        return Ablation(notes=["No scored configuration has LoRA's axes."])
    scores = answers.f1_of_runs[rows]
    constant = {
        axis: points[0][axis] for axis in AXES if len({point[axis] for point in points}) == 1
    }
    notes = _notes(answers, points, len(constant) == len(AXES))
    if notes:
        return Ablation(constant=constant, notes=notes)
    effects = stats.main_effects(points, scores, answers.clusters)
    shares = stats.variance_shares(points, scores, answers.clusters)
    return Ablation(
        axes=[_axis(effect, shares) for effect in effects],
        constant=constant,
        interactions=_interactions(points, scores, answers),
        residual=shares.residual,
        evaluation=shares.evaluation,
        edges=_edges(stats.edge_warnings(effects), grid),
    )


def points_of(
    runs: Sequence[str], configurations: Tables
) -> tuple[list[dict[str, Value]], list[int]]:
    """Return the distinct configurations of some runs, and the place of each one's run in `runs`.

    Full fine-tuning has none of these axes and is left out.
    """
    row_of = {run_id: row for row, run_id in enumerate(runs)}
    rows_by_point = {
        tuple(point[axis] for axis in (*AXES, "seed")): row_of[point["run"]]
        for point in configurations
        if point["run"] in row_of and point["method"] != "full"
    }
    points = [dict(zip(AXES, values[:-1], strict=True)) for values in rows_by_point]
    return points, list(rows_by_point.values())


def _notes(answers: Answers, points: Sequence[Point], is_constant: bool) -> list[str]:
    if len(points) == 1:
        return ["One scored configuration has no axis to take apart."]
    if is_constant:
        return ["No axis but the seed takes more than one value."]
    if answers.clusters.num_clusters == 1:
        return [
            f"All questions belong to one {answers.unit}, so the noise of effects is not known."
        ]
    return []


def _axis(effect: stats.AxisEffect, shares: stats.VarianceShares) -> Axis:
    return Axis(
        name=effect.axis,
        levels=[
            Level(
                value=_value(level.value),
                mean=level.mean,
                effect=level.effect.mean,
                interval=bounds(level.effect.low, level.effect.high),
            )
            for level in effect.levels
        ],
        num_cells=effect.num_cells,
        share=shares.axes[effect.axis],
        reason="" if effect.levels else NO_CELL,
    )


def _interactions(points: Sequence[Point], scores: Floats, answers: Answers) -> list[Interaction]:
    return [
        Interaction(
            axes=pair,
            cells=[
                Cell(
                    values=(_value(cell.values[0]), _value(cell.values[1])),
                    mean=cell.mean,
                    interaction=cell.interaction.mean,
                    interval=bounds(cell.interaction.low, cell.interaction.high),
                )
                for cell in stats.interactions(points, pair, scores, answers.clusters)
            ],
        )
        for pair in itertools.combinations(stats.varied_axes(points), 2)
    ]


def _edges(warnings: Sequence[stats.EdgeWarning], grid: Tables) -> list[Edge]:
    edges = (_edge(warning, grid) for warning in warnings)
    return [edge for edge in edges if edge is not None]


def _edge(warning: stats.EdgeWarning, grid: Tables) -> Edge | None:
    """Return the warning with its option; None where the study would not take the value."""
    tables = [
        (index, table[warning.axis])
        for index, table in enumerate(grid)
        # Full fine-tuning has none of LoRA's axes, and its learning rates are others.
        if table.get("method") != "full" and warning.value in table[warning.axis]
    ]
    if not tables:
        return None
    index, values = tables[0]
    extended = sorted(
        {*values, warning.suggestion}, key=lambda value: (isinstance(value, str), value)
    )
    try:
        Grid.model_validate({warning.axis: extended})
    except ValidationError:
        return None
    section = "grid" if len(grid) == 1 else f"grid.{index}"
    return Edge(
        axis=warning.axis,
        value=warning.value,
        suggestion=warning.suggestion,
        option=f"--set {shlex.quote(f'{section}.{warning.axis}={json.dumps(extended)}')}",
        sentence=f"{str(warning)[0].upper()}{str(warning)[1:]}.",
    )


def _value(value: Any) -> Value:
    return value if isinstance(value, int | float | str) else str(value)
