"""The charts of what the analysis found: differences, cell means, classes of wrong answers."""

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from lorasweep.report.charts.drawing import PALETTE, Spec, colour, rule, shape, with_points
from lorasweep.report.charts.run_charts import DENSE_ROW_HEIGHT, MAX_TALL_ROWS, ROW_HEIGHT
from lorasweep.report.words.language import Strings

CELL_HEIGHT = 44
BAR_HEIGHT = 30
# Of the light half of the scheme, on which dark figures can be read.
HEAT = alt.SchemeParams("blues", extent=[0.0, 0.55])
INK_ON_HEAT = "#1b1f24"


@dataclass(frozen=True)
class DifferencePoint:
    """A row of a chart of differences; `group` gives its colour."""

    name: str
    group: str
    difference: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class HeatCell:
    """A cell of a heat map, and its values as written for people."""

    x: str
    y: str
    f1: float


@dataclass(frozen=True)
class Bar:
    """A bar of a chart: bars of one name stand beside each other, one for each group.

    A line goes from `low` to `high`, the ends of its interval.
    """

    name: str
    group: str
    value: float
    low: float | None = None
    high: float | None = None


def difference_chart(
    points: Sequence[DifferencePoint], groups: Sequence[str], x_title: str, group_title: str,
    say: Strings, digits: int = 1, palette: Sequence[str] = PALETTE,
) -> Spec:  # fmt: skip
    """Return differences with their intervals, a row per point in the given order, a rule at 0."""
    number = f"+.{digits}f"
    shown = [group for group in groups if any(point.group == group for point in points)]
    colours = [palette[groups.index(group)] for group in shown]
    dense = len(points) > MAX_TALL_ROWS
    x = alt.X(
        "difference:Q",
        title=x_title,
        scale=alt.Scale(padding=12),
        axis=alt.Axis(orient="top" if dense else "bottom"),
    )
    chart = alt.Chart(alt.NamedData("points")).encode(
        y=alt.Y("name:N", sort=[point.name for point in points], title=None),
        color=colour(shown, group_title, colours),
        tooltip=[
            alt.Tooltip("name:N", title=say("chart.row")),
            alt.Tooltip("difference:Q", title=x_title, format=number),
            alt.Tooltip("low:Q", title=say("chart.low"), format=number),
            alt.Tooltip("high:Q", title=say("chart.high"), format=number),
        ],
    )
    zero = rule(x=alt.X("difference:Q"), values=[{"difference": 0.0}])
    spans = chart.mark_rule(strokeWidth=2.5).encode(x=alt.X("low:Q"), x2="high:Q")
    dots = chart.mark_point(filled=True, size=90, opacity=1).encode(
        x=x, shape=shape(shown, groups, group_title)
    )
    height = (DENSE_ROW_HEIGHT if dense else ROW_HEIGHT) * len(points)
    layers = alt.layer(*zero, spans, dots).properties(height=height)
    return with_points(layers, [vars(point) for point in points])


def heat_map(
    cells: Sequence[HeatCell],
    x_title: str,
    y_title: str,
    bounds: tuple[float, float],
    say: Strings,
) -> Spec:
    """Return a mean F1 for each pair of values; `bounds` are those of the shades.

    Columns and rows are in the order of the cells.
    """
    columns = list(dict.fromkeys(cell.x for cell in cells))
    rows = list(dict.fromkeys(cell.y for cell in cells))
    chart = alt.Chart(alt.NamedData("points")).encode(
        x=alt.X("x:N", sort=columns, title=x_title, axis=alt.Axis(labelAngle=0)),
        y=alt.Y("y:N", sort=rows[::-1], title=y_title),
        tooltip=[
            alt.Tooltip("x:N", title=x_title),
            alt.Tooltip("y:N", title=y_title),
            alt.Tooltip("f1:Q", title=say("chart.f1"), format=".1f"),
        ],
    )
    scale = alt.Scale(scheme=HEAT, zero=False, domain=list(bounds))
    shade = alt.Color("f1:Q", scale=scale, legend=None)
    squares = chart.mark_rect().encode(color=shade)
    figures = chart.mark_text(color=INK_ON_HEAT, fontSize=13).encode(
        text=alt.Text("f1:Q", format=".1f")
    )
    layers = alt.layer(squares, figures).properties(height=CELL_HEIGHT * len(rows))
    return with_points(layers, [vars(cell) for cell in cells])


def bar_chart(
    values: Sequence[Bar], title: str, group_title: str, say: Strings, number: str = "d"
) -> Spec:
    """Return the bars in the given order; `number` is D3's format of their values."""
    names = list(dict.fromkeys(each.name for each in values))
    groups = list(dict.fromkeys(each.group for each in values))
    colours = colour(groups, group_title, [PALETTE[0], PALETTE[-1]])
    chart = alt.Chart(alt.NamedData("points")).encode(
        x=alt.X("value:Q", title=title, axis=alt.Axis(format=number)),
        y=alt.Y("name:N", sort=names, title=None),
        yOffset=alt.YOffset("group:N", sort=groups),
        tooltip=[
            alt.Tooltip("name:N", title=say("chart.row")),
            alt.Tooltip("group:N", title=group_title),
            alt.Tooltip("value:Q", title=title, format=number),
        ],
    )
    bars = chart.mark_bar().encode(
        color=colours if len(groups) > 1 else alt.value(PALETTE[0]),
    )
    figures = chart.mark_text(align="left", dx=4).encode(text=alt.Text("value:Q", format=number))
    spans = chart.mark_rule(strokeWidth=1.5).encode(x=alt.X("low:Q"), x2="high:Q")
    # A number at the end of a bar would stand on the line of its interval.
    over = spans if any(each.low is not None for each in values) else figures
    layers = alt.layer(bars, over).properties(height=BAR_HEIGHT * len(names))
    return with_points(layers, [vars(each) for each in values])
