"""Axes whose best value is the last one tried, and the options that extend the grid."""

import json
import shlex
from collections.abc import Collection
from typing import Any

from pydantic import ValidationError

from lorasweep.analysis.ablation import AXES, Tables, points_of
from lorasweep.analysis.answers import Answers
from lorasweep.folder.findings import Edge
from lorasweep.scoring.answer_scores import sign_of
from lorasweep.scoring.stats.edges import EdgeWarning, edge_warning, level_means
from lorasweep.study.grid import Grid


def grid_edges(
    answers: Answers, configurations: Tables, grid: Tables, ended: Collection[str]
) -> list[Edge]:
    """Return the edges at which LoRA's best values lie, then full fine-tuning's.

    `grid` holds the study's tables of axes; `ended` are the ids of the runs that were scored,
    failed or lost a race. While others of a method wait, nothing is known of its edges.
    """
    edges: list[Edge] = []
    for full in (False, True):
        own = [point for point in configurations if (point["method"] == "full") == full]
        if all(point["run"] in ended for point in own):
            edges += _edges(answers, own, grid, full)
    return edges


def _edges(answers: Answers, configurations: Tables, grid: Tables, full: bool) -> list[Edge]:
    points, rows = points_of([run.id for run in answers.runs], configurations, full)
    if not points:
        return []
    means = sign_of(answers.rank_by) * answers.rank_of_runs[rows].mean(axis=1)
    edges: list[Edge | None] = []
    for axis in AXES:
        values = _values_tried(axis, grid, full)
        if all(isinstance(value, int | float) for value in values):
            warning = edge_warning(axis, values, level_means(points, axis, means))
            edges += [_edge(warning, grid, full)] if warning else []
    return [edge for edge in edges if edge is not None]


def _values_tried(axis: str, grid: Tables, full: bool) -> list[Any]:
    tables = (table for table in grid if (table.get("method") == "full") == full)
    return [value for table in tables for value in table.get(axis) or ()]


def _edge(warning: EdgeWarning, grid: Tables, full: bool) -> Edge | None:
    """Return the warning with its option; None where the study would not take the value."""
    index, table = next(
        (index, table)
        for index, table in enumerate(grid)
        if (table.get("method") == "full") == full and warning.value in (table[warning.axis] or ())
    )
    extended = sorted({*table[warning.axis], warning.suggestion})
    method = "full" if full else "lora"
    try:
        Grid.model_validate({"method": method, warning.axis: extended})
    except ValidationError:
        return None
    section = "grid" if len(grid) == 1 else f"grid.{index}"
    return Edge(
        method=method,
        axis=warning.axis,
        value=warning.value,
        suggestion=warning.suggestion,
        option=f"--set {shlex.quote(f'{section}.{warning.axis}={json.dumps(extended)}')}",
        sentence=_sentence(warning, full),
    )


def _sentence(warning: EdgeWarning, full: bool) -> str:
    says = str(warning)
    return f"Full fine-tuning: {says}." if full else f"{says[0].upper()}{says[1:]}."
