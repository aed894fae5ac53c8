"""The charts, each defined once; the page draws them, and files hold them as SVG and PNG."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import altair as alt
import vl_convert

from lorasweep.report import fonts
from lorasweep.report.words.language import Strings

# Okabe and Ito's palette, safe for colour-blind readers, in an order that keeps neighbours
# apart; its black and yellow are left out, since one of them vanishes on either background
PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#808080"]
GROUPS = ["#0072B2", "#D55E00", "#808080", "#CC79A7"]
MAX_SERIES = len(PALETTE)
MAX_POINTS = 20_000
MAX_POINTS_PER_SERIES = 200
MAX_MARKED_POINTS = 12

ROW_HEIGHT = 26
MAX_TALL_ROWS = 20
DENSE_ROW_HEIGHT = 18
FILE_WIDTH = 640
FILE_INK = "#20242a"
# the SVG on the page takes the colour of its text from the style sheet, light or dark
PAGE_INK = "currentColor"

# a Vega-Lite specification
Spec = dict[str, Any]


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
    shape = alt.Shape("group:N", sort=shown, legend=None)
    dots = chart.mark_point(filled=True, size=90, opacity=1).encode(x=x, shape=shape)
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
    """Return `y` over `x`; a click on the legend keeps one group, a dashed rule is `rule_at`."""
    chosen = alt.selection_point(fields=["group"], bind="legend")
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


def page_spec(spec: Spec, say: Strings) -> Spec:
    """Return the chart for the page: as wide as its box, in the text's colour."""
    return _configured(spec, "container", PAGE_INK, "transparent", say)


def altair_chart(spec: Spec, say: Strings) -> Any:
    """Return the chart as an Altair object, looking as it does in files."""
    configured = _configured(spec, FILE_WIDTH, FILE_INK, "white", say)
    points = configured.pop("datasets")
    chart = alt.Chart.from_dict(configured)
    chart.datasets = points
    return chart


def svg(spec: Spec, say: Strings) -> str:
    """Return the chart as a picture for papers: dark on white."""
    fonts.register()
    return str(vl_convert.vegalite_to_svg(_configured(spec, FILE_WIDTH, FILE_INK, "white", say)))


def png(svg: str) -> bytes:
    """Return a picture as pixels, two for each unit of the SVG."""
    return bytes(vl_convert.svg_to_png(svg, scale=2))


@functools.cache
def javascript() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script that needs no network."""
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def with_points(chart: Any, rows: list[dict[str, Any]]) -> Spec:
    """Put the rows in after Altair has checked the chart, which is slow on data."""
    return {**chart.to_dict(), "datasets": {"points": rows}}


def _rows(line: Series) -> list[dict[str, Any]]:
    return [
        {"name": line.name, "group": line.group, "x": x, "y": float(f"{y:.5g}")}
        for x, y in line.points
    ]


def rule(values: list[dict[str, float]], **place: Any) -> list[Any]:
    """Return a dashed line, or none where there is no value for it."""
    if not values:
        return []
    line = alt.Chart(alt.Data(values=values)).encode(**place)
    return [line.mark_rule(strokeDash=[5, 4], opacity=0.8, color="#808080")]


def _configured(spec: Spec, width: int | str, ink: str, background: str, say: Strings) -> Spec:
    on_page = width == "container"
    families = [say.font, "system-ui" if on_page else "", "sans-serif"]
    text = {
        "labelColor": ink, "titleColor": ink, "labelFontSize": 12, "titleFontSize": 12,
        "titleFontWeight": "normal",
    }  # fmt: skip
    axis = {
        **text, "gridColor": ink, "gridOpacity": 0.13, "domainColor": ink, "tickColor": ink,
        "titlePadding": 10,
    }  # fmt: skip
    return {
        **_directed(spec, say),
        "width": width,
        "background": background,
        "padding": 4,
        "autosize": {"type": "fit-x" if on_page else "pad", "contains": "padding"},
        "config": {
            "font": ", ".join(filter(None, families)),
            "locale": {"number": say.number_locale()},
            "axis": axis,
            # A long title has the labels' room too where it ends with the axis, as on a phone.
            "axisX": {"tickCount": {"expr": "ceil(width / 80)"}, "titleAnchor": "end"},
            "axisY": {"labelLimit": 190},
            "legend": {
                **text, "orient": "bottom", "labelLimit": 0, "symbolOpacity": 1,
                "columns": {"expr": "max(1, floor(width / 190))"},
            },
            "text": {"fill": ink, "fontSize": 11},
            "view": {"stroke": None},
        },
    }  # fmt: skip


def _directed(value: Any, say: Strings) -> Any:
    """Return a specification whose texts in letters from right to left are isolated.

    A chart's texts are set from left to right, whatever the page is; names of data, and lists that
    sort by them, are changed alike.
    """
    if isinstance(value, dict):
        return {key: _directed(inner, say) for key, inner in value.items()}
    if isinstance(value, list):
        return [_directed(inner, say) for inner in value]
    is_own = isinstance(value, str) and say.direction_of(value) == "rtl"
    return say.isolated(value) if is_own else value


def colour(groups: Sequence[str], title: str, palette: Sequence[str] = PALETTE) -> Any:
    colours: dict[str, Any] = {"range": list(palette[: len(groups)])}
    if len(groups) > len(palette):
        colours = {"scheme": alt.SchemeParams("viridis", extent=[0.1, 0.85])}
    scale = alt.Scale(domain=list(groups), **colours)
    return alt.Color("group:N", scale=scale, legend=alt.Legend(title=title))
