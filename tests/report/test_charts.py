"""Charts hold what they are given, stay small, and become pictures."""

import math
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from lorasweep.report.charts.drawing import PALETTE, page_spec, png, svg
from lorasweep.report.charts.run_charts import (
    MAX_POINTS,
    ScorePoint,
    Series,
    bucket_size,
    line_chart,
    score_chart,
    thin,
)
from lorasweep.report.words.language import Strings

SAY = Strings.load("en")
GROUPS = ["best", "below", "base", "unknown"]


def make_series(num_groups: int) -> list[Series]:
    return [Series(f"run {i}", f"run {i}", [(1, 2.0), (2, 1.0 + i)]) for i in range(num_groups)]


def test_thinning_takes_means_and_leaves_out_what_is_not_finite() -> None:
    points: Sequence[tuple[float, float]] = [
        (1, 4.0),
        (2, 2.0),
        (3, math.nan),
        (4, 1.0),
        (5, math.inf),
    ]
    assert thin(points, 2) == [(2, 3.0), (4, 1.0)]
    assert thin(points, 1) == [(1, 4.0), (2, 2.0), (4, 1.0)]


@settings(max_examples=50)
@given(st.integers(0, 100_000), st.integers(0, 500))
def test_buckets_keep_the_page_small(num_points: int, num_series: int) -> None:
    size = bucket_size(num_points, num_series)
    assert size >= 1
    assert math.ceil(num_points / size) * num_series <= MAX_POINTS


def test_a_score_chart_has_a_row_per_point_and_only_groups_that_occur() -> None:
    points = [
        ScorePoint("a", "best", 60.0, 55.0, 65.0),
        ScorePoint("b", "unknown", 40.0, None, None),
    ]
    spec = score_chart(points, "base model", GROUPS, SAY)
    assert [row["name"] for row in spec["datasets"]["points"]] == ["a", "b"]
    assert spec["layer"][-1]["encoding"]["color"]["scale"]["domain"] == ["best", "unknown"]


def test_more_groups_than_colours_take_a_continuous_scheme() -> None:
    few = line_chart(make_series(3), "Step", "Loss", "Run", SAY)
    many = line_chart(make_series(len(PALETTE) + 1), "Step", "Loss", "Run", SAY)
    assert few["layer"][0]["encoding"]["color"]["scale"]["range"] == PALETTE[:3]
    assert many["layer"][0]["encoding"]["color"]["scale"]["scheme"]["name"] == "viridis"


def test_a_chart_becomes_svg_and_png() -> None:
    picture = svg(line_chart(make_series(2), "Step", "Loss", "Run <&>", SAY, rule_at=3.0), SAY)
    assert picture.startswith("<svg")
    assert "Run &lt;&amp;&gt;" in picture
    assert png(picture).startswith(b"\x89PNG")


def test_the_page_lets_the_style_sheet_choose_the_colour_of_text() -> None:
    spec = page_spec(line_chart(make_series(1), "Step", "Loss", "Run", SAY), SAY)
    assert spec["width"] == "container"
    assert spec["config"]["axis"]["labelColor"] == "currentColor"


def test_a_label_of_characters_that_act_is_drawn_without_them() -> None:
    group = "\x1b\x00set\ufffe"
    picture = svg(line_chart([Series(group, group, [(1, 2.0), (2, 1.0)])], "x", "y", "z", SAY), SAY)
    assert "set" in picture
    assert png(picture)
