"""How charts are drawn: colours, the look on the page and in files, SVG and PNG of both."""

import functools
from collections.abc import Sequence
from typing import Any

import altair as alt
import vl_convert

from lorasweep.console.plain_text import without_acting
from lorasweep.report import fonts
from lorasweep.report.words.language import Strings

# Okabe and Ito's palette, safe for colour-blind readers, in an order that keeps neighbours
# apart; its black and yellow are left out, since one of them vanishes on either background
PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#808080"]
SHAPES = ["circle", "square", "triangle-up", "diamond", "cross"]
FILE_WIDTH = 640
FILE_INK = "#20242a"
# the SVG on the page takes the colour of its text from the style sheet, light or dark
PAGE_INK = "currentColor"

# a Vega-Lite specification
Spec = dict[str, Any]


def page_spec(spec: Spec, say: Strings) -> Spec:
    """Return the chart for the page: as wide as its box, in the text's colour."""
    return _configured(spec, "container", PAGE_INK, "transparent", say)


def altair_chart(spec: Spec, say: Strings) -> Any:
    """Return the chart as an Altair object, looking as it does in files."""
    configured = _configured(spec, FILE_WIDTH, FILE_INK, "white", say)
    points = configured.pop("datasets")
    chart = alt.Chart.from_dict(configured)
    chart.datasets = points
    object.__setattr__(chart, "__class__", _drawn_here(type(chart)))
    return chart


def _drawn_here(kind: Any) -> Any:
    """Return Altair's class of a chart with pictures for notebooks that no network has a part in.

    Altair's own way is a page that takes its scripts from elsewhere.
    """

    class DrawnHere(kind):  # type: ignore[misc]
        def _repr_mimebundle_(self, *_: Any, **__: Any) -> dict[str, str]:
            fonts.register()
            return {"image/svg+xml": vl_convert.vegalite_to_svg(self.to_dict())}

    DrawnHere.__name__ = DrawnHere.__qualname__ = kind.__name__
    return DrawnHere


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
            "rule": {"color": ink},
            "view": {"stroke": None},
        },
    }  # fmt: skip


def _directed(value: Any, say: Strings) -> Any:
    """Return a specification whose texts in letters from right to left are isolated.

    A chart's texts are set from left to right, whatever the page is; names of data, and lists that
    sort by them, are changed alike. Characters that act are left out: pictures cannot hold them.
    """
    if isinstance(value, dict):
        return {key: _directed(inner, say) for key, inner in value.items()}
    if isinstance(value, list):
        return [_directed(inner, say) for inner in value]
    if not isinstance(value, str):
        return value
    shown = without_acting(value)
    return say.isolated(shown) if say.direction_of(shown) == "rtl" else shown


def shape(shown: Sequence[str], groups: Sequence[str], title: str) -> Any:
    """Return the marks of the groups that are shown: a group has the same one in every chart.

    Under the title that the colours have, both are one legend.
    """
    marks = [SHAPES[groups.index(group) % len(SHAPES)] for group in shown]
    return alt.Shape(
        "group:N", scale=alt.Scale(domain=list(shown), range=marks), legend=alt.Legend(title=title)
    )


def colour(groups: Sequence[str], title: str, palette: Sequence[str] = PALETTE) -> Any:
    colours: dict[str, Any] = {"range": list(palette[: len(groups)])}
    if len(groups) > len(palette):
        colours = {"scheme": alt.SchemeParams("viridis", extent=[0.1, 0.85])}
    scale = alt.Scale(domain=list(groups), **colours)
    return alt.Color("group:N", scale=scale, legend=alt.Legend(title=title))
