"""Charts of the analysis: rows in the given order, one colour per group, values as given."""

from lorasweep.report.charts.analysis_charts import (
    Bar,
    DifferencePoint,
    HeatCell,
    bar_chart,
    difference_chart,
    heat_map,
)
from lorasweep.report.charts.drawing import PALETTE, svg
from lorasweep.report.charts.run_charts import DENSE_ROW_HEIGHT, ROW_HEIGHT
from lorasweep.report.words.language import Strings

SAY = Strings.load("en")


def points(number: int) -> list[DifferencePoint]:
    return [DifferencePoint(f"run {i}", "b", -float(i), -i - 2.0, 2.0 - i) for i in range(number)]


def test_a_group_keeps_its_colour_where_another_is_absent() -> None:
    spec = difference_chart(points(2), ["a", "b"], "x", "group", SAY)
    scale = spec["layer"][-1]["encoding"]["color"]["scale"]
    assert (scale["domain"], scale["range"]) == (["b"], [PALETTE[1]])
    assert [row["name"] for row in spec["datasets"]["points"]] == ["run 0", "run 1"]


def test_many_rows_are_set_closer() -> None:
    few = difference_chart(points(3), ["b"], "x", "group", SAY)
    many = difference_chart(points(50), ["b"], "x", "group", SAY)
    assert (few["height"], many["height"]) == (3 * ROW_HEIGHT, 50 * DENSE_ROW_HEIGHT)


def test_a_row_without_an_interval_is_drawn() -> None:
    alone = [DifferencePoint("run", "b", 0.0, None, None)]
    assert "run" in svg(difference_chart(alone, ["b"], "x", "group", SAY), SAY)


def test_a_heat_map_writes_every_mean_in_its_cell() -> None:
    cells = [HeatCell(x, y, f1) for x, y, f1 in (("1e-3", "4", 20.04), ("2e-3", "4", 31.0))]
    spec = heat_map(cells, "Learning rate", "Rank", (20.0, 31.0), SAY)
    picture = svg(spec, SAY)
    assert ">20.0<" in picture
    assert ">31.0<" in picture
    assert spec["layer"][0]["encoding"]["x"]["sort"] == ["1e-3", "2e-3"]


def test_counts_stand_beside_each_other() -> None:
    bars = [Bar("empty", who, n) for who, n in (("best", 3), ("base model", 9))]
    spec = bar_chart(bars, "Answers", "Answers of", SAY)
    assert spec["layer"][0]["encoding"]["yOffset"]["sort"] == ["best", "base model"]
    assert [row["value"] for row in spec["datasets"]["points"]] == [3, 9]
