"""The charts of scores and of losses, a mark or a line for each run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import altair as alt

from lorasweep.report.charts.drawing import PALETTE, Spec, colour, rule, shape, with_points
from lorasweep.report.words.language import Strings

GROUPS = ["#0072B2", "#D55E00", "#808080", "#CC79A7"]
MAX_SERIES = len(PALETTE)
MAX_POINTS = 20_000
MAX_POINTS_PER_SERIES = 200
MAX_MARKED_POINTS = 12
ROW_HEIGHT = 26
MAX_TALL_ROWS = 20
DENSE_ROW_HEIGHT = 18


@dataclass(frozen=True)
class ScorePoint:
    """A row of the score chart; `group` says how it stands to the best run."""

    name: str
    group: str
    f1: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Series:
    """A line of a chart: its points (x, y), and the group that gives its colour."""

    name: str
    group: str
    points: Sequence[tuple[float, float]]


def score_chart(
    points: Sequence[ScorePoint], base: str, groups: Sequence[str], say: Strings
) -> Spec:
    """Return F1 with its interval, a row per point in the given order, a rule at the base model."""
    shown = [group for group in groups if any(point.group == group for point in points)]
    colours = [colour for group, colour in zip(groups, GROUPS, strict=True) if group in shown]
    dense = len(points) > MAX_TALL_ROWS
    x = alt.X(
        "f1:Q",
        title=say("chart.f1_interval"),
        scale=alt.Scale(zero=False, padding=12),
        axis=alt.Axis(orient="top" if dense else "bottom"),
    )
    chart = alt.Chart(alt.NamedData("points")).encode(
        y=alt.Y("name:N", sort=[point.name for point in points], title=None),
        color=colour(shown, say("chart.group"), colours),
        tooltip=[
            alt.Tooltip("name:N", title=say("chart.run")),
            alt.Tooltip("f1:Q", title=say("chart.f1"), format=".1f"),
            alt.Tooltip("low:Q", title=say("chart.low"), format=".1f"),
            alt.Tooltip("high:Q", title=say("chart.high"), format=".1f"),
        ],
    )
    base_rule = rule(x=alt.X("f1:Q"), values=[{"f1": p.f1} for p in points if p.name == base])
    spans = chart.mark_rule(strokeWidth=2.5).encode(x=alt.X("low:Q"), x2="high:Q")
    dots = chart.mark_point(filled=True, size=90, opacity=1).encode(
        x=x, shape=shape(shown, groups, say("chart.group"))
    )
    layers = alt.layer(*base_rule, spans, dots).properties(
        height=(DENSE_ROW_HEIGHT if dense else ROW_HEIGHT) * len(points)
    )
    return with_points(layers, [vars(point) for point in points])


def line_chart(
    series: Sequence[Series],
    x_title: str,
    y_title: str,
    group_title: str,
    say: Strings,
    rule_at: float | None = None,
) -> Spec:
    """Return `y` over `x`; a click on the legend keeps one group, a dashed rule is `rule_at`.

    A second click lets it go again.
    """
    chosen = alt.selection_point(fields=["group"], bind="legend", toggle="true")
    few = max(len(line.points) for line in series) <= MAX_MARKED_POINTS
    ticks = sorted({x for line in series for x, _ in line.points}) if few else alt.Undefined
    lines = (
        alt.Chart(alt.NamedData("points"))
        .mark_line(strokeWidth=1.8, point=few)
        .encode(
            x=alt.X(
                "x:Q",
                title=x_title,
                scale=alt.Scale(nice=False),
                axis=alt.Axis(values=ticks, format="d"),
            ),
            y=alt.Y("y:Q", title=y_title, scale=alt.Scale(zero=False)),
            color=colour(list(dict.fromkeys(line.group for line in series)), group_title),
            detail="name:N",
            opacity=alt.condition(chosen, alt.value(0.95), alt.value(0.1)),
            tooltip=[
                alt.Tooltip("name:N", title=say("chart.run")),
                alt.Tooltip("x:Q", title=x_title),
                alt.Tooltip("y:Q", title=y_title, format=".4f"),
            ],
        )
        .add_params(chosen)
    )
    values = [{"y": rule_at}] if rule_at and math.isfinite(rule_at) else []
    layers = alt.layer(*rule(y=alt.Y("y:Q"), values=values), lines).properties(height=300)
    return with_points(layers, [row for line in series for row in _rows(line)])


def thin(points: Sequence[tuple[float, float]], size: int) -> list[tuple[float, float]]:
    """Return the mean of every `size` points at the place of the last, without infinite losses."""
    buckets = [points[start : start + size] for start in range(0, len(points), size)]
    finite = [[(x, y) for x, y in bucket if math.isfinite(y)] for bucket in buckets]
    return [(bucket[-1][0], fmean(y for _, y in bucket)) for bucket in finite if bucket]


def bucket_size(num_points: int, num_series: int) -> int:
    """Return how many points to join into one, so that the page stays small."""
    most = max(20, min(MAX_POINTS_PER_SERIES, MAX_POINTS // max(1, num_series)))
    return math.ceil(num_points / most) or 1


def _rows(line: Series) -> list[dict[str, Any]]:
    return [
        {"name": line.name, "group": line.group, "x": x, "y": float(f"{y:.5g}")}
        for x, y in line.points
    ]
