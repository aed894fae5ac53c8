"""Results for notebooks: tables as DataFrames, charts as Altair's, and a page of HTML."""

from pathlib import Path

import altair as alt
import pandas as pd
import pytest
from invented import HOSTILE, NUM_QUESTIONS, make_results, make_run, write_results

from lorasweep import Results
from lorasweep.errors import UserError
from lorasweep.folder.store import Store


@pytest.fixture(scope="module")
def results(out: Path) -> Results:
    """The results of the invented study."""
    return Results.load(out)


def test_they_are_what_results_json_says(results: Results, out: Path) -> None:
    assert results == Results.load(str(out))
    assert results.model_dump() == Store(out).read_results().model_dump()


def test_every_table_of_the_report_is_a_frame_of_plain_values(results: Results, out: Path) -> None:
    assert set(results.tables) == {file.stem for file in (out / "report/tables").glob("*.csv")}
    for name, frame in results.tables.items():
        header = (out / f"report/tables/{name}.csv").read_text().partition("\n")[0]
        assert ",".join(frame.columns) == header
    board = results.leaderboard
    assert list(board["f1"][:4]) == [62.0, 60.5, 48.0, 21.0]
    assert board["f1_interval_low"].iloc[0] == 59.0
    assert pd.isna(board["f1"].iloc[4])


def test_every_figure_of_the_report_is_a_chart(results: Results, out: Path) -> None:
    assert set(results.charts) == {file.stem for file in (out / "report/figures").glob("*.svg")}
    chart = results.charts["f1"]
    assert isinstance(chart, alt.LayerChart)
    assert [row["f1"] for row in chart.to_dict()["datasets"]["points"]] == [62.0, 60.5, 48.0, 21.0]


def test_a_chart_is_shown_without_a_network(results: Results) -> None:
    chart = results.charts["f1"].properties(title="Mine")
    shown = chart._repr_mimebundle_()
    assert set(shown) == {"image/svg+xml"}
    assert "Mine" in shown["image/svg+xml"]
    assert "http" not in shown["image/svg+xml"].replace("http://www.w3.org/", "")


def test_predictions_are_one_frame(results: Results) -> None:
    found = results.predictions()
    assert found.groupby("run").size().to_dict() == dict.fromkeys(
        ["base", "r4 lr0.001 attn", "r16 lr0.001 attn", "r4 lr0.0003 attn"], NUM_QUESTIONS
    )
    assert list(results.predictions("beam-4").columns) == list(found.columns)


def test_a_notebook_shows_summary_and_leaderboard_escaped(tmp_path: Path) -> None:
    write_results(tmp_path, make_results([make_run(0, 50.0, label=HOSTILE)], study=HOSTILE))
    shown = Results.load(tmp_path)._repr_html_()
    assert "The best run by F1 is" in shown
    assert shown.count("<table>") == 1
    assert "<script" not in shown


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no results in"):
        Results.load(tmp_path)
