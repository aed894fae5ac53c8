"""The charts of one quantity against another: F1 against cost, F1 against diversity."""

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from lorasweep.report.charts.drawing import PALETTE, Spec, colour, with_points
from lorasweep.report.charts.run_charts import GROUPS
from lorasweep.report.words.language import Strings

HEIGHT = 300
# Costs that differ by more than this factor, as with full fine-tuning, need a logarithm.
MOST_LINEAR = 20


@dataclass(frozen=True)
class TradeOff:
    """A point of a chart; points `on_front` are joined by a line of steps."""

    name: str
    group: str
    x: float
    f1: float
    low: float | None = None
    high: float | None = None
    on_front: bool = False


def front_chart(
    points: Sequence[TradeOff], groups: Sequence[str], x_title: str, say: Strings
) -> Spec:
    """Return F1 over a cost, and the line of what no other point beats in both."""
    shown = [group for group in groups if any(point.group == group for point in points)]
    colours = [colour for group, colour in zip(groups, GROUPS, strict=False) if group in shown]
    costs = [point.x for point in points]
    is_wide = min(costs) > 0 and max(costs) > MOST_LINEAR * min(costs)
    x = alt.X(
        "x:Q",
        title=x_title,
        scale=alt.Scale(type="log", padding=12) if is_wide else alt.Scale(zero=False, padding=12),
        axis=alt.Axis(format=","),
    )
    y = alt.Y("f1:Q", title=say("chart.f1"), scale=alt.Scale(zero=False, padding=12))
    chart = alt.Chart(alt.NamedData("points"))
    front = (
        chart.transform_filter("datum.on_front")
        .mark_line(interpolate="step-after", color=PALETTE[-1], strokeDash=[4, 3])
        .encode(x=x, y=y)
    )
    dots = chart.mark_point(filled=True, size=80, opacity=0.85).encode(
        x=x,
        y=y,
        color=colour(shown, say("chart.group"), colours),
        shape=alt.Shape("group:N", sort=shown, legend=None),
        tooltip=[
            alt.Tooltip("name:N", title=say("chart.run")),
            alt.Tooltip("x:Q", title=x_title, format=",.3~f"),
            alt.Tooltip("f1:Q", title=say("chart.f1"), format=".1f"),
        ],
    )
    # a layer without points has no extent, of which the page would complain
    lines = [front] if any(point.on_front for point in points) else []
    layers = alt.layer(*lines, dots).properties(height=HEIGHT)
    return with_points(layers, [vars(point) for point in points])


def diversity_chart(points: Sequence[TradeOff], x_title: str, say: Strings) -> Spec:
    """Return F1 with its interval over a measure of diversity, each point with its name."""
    names = [point.name for point in points]
    x = alt.X("x:Q", title=x_title, scale=alt.Scale(zero=False, padding=30))
    chart = alt.Chart(alt.NamedData("points")).encode(
        x=x,
        color=colour(list(dict.fromkeys(point.group for point in points)), say("chart.decoder")),
        tooltip=[
            alt.Tooltip("name:N", title=say("chart.decoder")),
            alt.Tooltip("x:Q", title=x_title, format=".2f"),
            alt.Tooltip("f1:Q", title=say("chart.f1"), format=".1f"),
        ],
    )
    y = alt.Y("f1:Q", title=say("chart.f1_interval"), scale=alt.Scale(zero=False, padding=12))
    spans = chart.mark_rule(strokeWidth=2, opacity=0.6).encode(y=alt.Y("low:Q"), y2="high:Q")
    shape = alt.Shape("group:N", sort=names, legend=None)
    dots = chart.mark_point(filled=True, size=110, opacity=1).encode(y=y, shape=shape)
    layers = alt.layer(spans, dots).properties(height=HEIGHT)
    return with_points(layers, [vars(point) for point in points])
