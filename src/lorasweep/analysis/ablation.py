"""What each axis of the grid does to F1: effects, interactions, shares of variance."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from lorasweep.analysis.answers import Answers
from lorasweep.analysis.comparisons import bounds
from lorasweep.folder.findings import Ablation, Axis, Cell, Edge, Interaction, Level, Value
from lorasweep.scoring.stats.ablation import (
    AxisEffect,
    Point,
    VarianceShares,
    interactions,
    main_effects,
    variance_shares,
    varied_axes,
)
from lorasweep.scoring.stats.clusters import Floats

# What a method cannot be measured by: a seed names a repetition of the same training.
AXES = ("targets", "rank", "lr", "alpha", "dropout", "scaling", "lr_ratio")
NO_CELL = "no setting of the other axes was run with all of its values"
Tables = Sequence[Mapping[str, Any]]


def ablation(answers: Answers, configurations: Tables, edges: Sequence[Edge] = ()) -> Ablation:
    """Return the effects of the axes over the configurations as written, and the grid's `edges`.

    Configurations that share a run have its scores each, so that a grid stays complete.
    """
    found = _effects(answers, configurations)
    return found.model_copy(update={"edges": list(edges)})


def _effects(answers: Answers, configurations: Tables) -> Ablation:
    points, rows = points_of([run.id for run in answers.runs], configurations)
    if not points:
        return Ablation(notes=["No scored configuration has LoRA's axes."])
    scores = answers.rank_of_runs[rows]
    constant = {
        axis: points[0][axis] for axis in AXES if len({point[axis] for point in points}) == 1
    }
    notes = _notes(answers, points, len(constant) == len(AXES))
    if notes:
        return Ablation(constant=constant, notes=notes)
    effects = main_effects(points, scores, answers.clusters)
    shares = variance_shares(points, scores, answers.clusters)
    return Ablation(
        axes=[_axis(effect, shares) for effect in effects],
        constant=constant,
        interactions=_interactions(points, scores, answers),
        residual=shares.residual,
        seeds=shares.seeds,
        evaluation=shares.evaluation,
    )


def points_of(
    runs: Sequence[str], configurations: Tables, full: bool = False
) -> tuple[list[dict[str, Value]], list[int]]:
    """Return the distinct configurations of some runs, and the place of each one's run in `runs`.

    Those of LoRA, or of full fine-tuning (`full`), for which most of these axes are None.
    """
    row_of = {run_id: row for row, run_id in enumerate(runs)}
    rows_by_point = {
        tuple(point[axis] for axis in (*AXES, "seed")): row_of[point["run"]]
        for point in configurations
        if point["run"] in row_of and (point["method"] == "full") == full
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


def _axis(effect: AxisEffect, shares: VarianceShares) -> Axis:
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
                for cell in interactions(points, pair, scores, answers.clusters)
            ],
        )
        for pair in itertools.combinations(varied_axes(points), 2)
    ]


def _value(value: Any) -> Value:
    return value if isinstance(value, int | float | str) else str(value)
