"""What an analysis says of whole folders, and what it says where something is missing."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from invented_answers import make_card, make_run, paragraphs, predictions, shares_right, write

from lorasweep.analysis.analyse import analyse
from lorasweep.analysis.results import with_analysis
from lorasweep.errors import UserError
from lorasweep.folder.findings import DecoderAnalysis
from lorasweep.folder.records import Results, RunRecord
from lorasweep.folder.scores import Scores
from lorasweep.folder.store import Store
from lorasweep.report.page import write_report

QUESTIONS = paragraphs(80)


def of_greedy(store: Store) -> DecoderAnalysis:
    """Analyse a folder, write results and report, and return what was found."""
    results = with_analysis(store, QUESTIONS)
    json.loads(store.results_file.read_text(), parse_constant=pytest.fail)
    assert store.read_results() == results
    write_report(store.out)
    assert results.analysis is not None
    return results.analysis.decoders["greedy"]


def grid_of_four(out: Path) -> Store:
    right = shares_right([0.2, 0.7, 0.4, 0.72, 0.05])
    runs = [make_run(index) for index in range(4)]
    names = [*(run.id for run in runs), "base"]
    rows = {name: predictions(r) for name, r in zip(names, right, strict=True)}
    return write(out, runs, rows)


def test_a_grid_is_taken_apart(tmp_path: Path) -> None:
    found = of_greedy(grid_of_four(tmp_path))
    assert found.best == "run3"
    assert found.tied_best is not None
    assert found.tied_best.members == ["run3", "run1"]
    assert found.tied_best.sentence.startswith("2 of 4 runs are tied for best: r4 lr0.002 seed0, ")
    assert [each.run for each in found.comparisons] == ["run1", "run2", "run0", "base"]
    assert all(each.rank.mean < 0 for each in found.comparisons)
    assert [each.rank.is_shown for each in found.comparisons] == [False, True, True, True]
    assert found.ablation is not None
    assert [axis.name for axis in found.ablation.axes] == ["rank", "lr"]
    constant = {"targets", "alpha", "dropout", "scaling", "lr_ratio"}
    assert set(found.ablation.constant) == constant
    assert found.failures is not None
    assert found.selection_bias.startswith("The best run was chosen and scored on the same")
    assert found.notes == []


def test_one_run_says_why_there_is_nothing_to_compare(tmp_path: Path) -> None:
    (right,) = shares_right([0.5])
    found = of_greedy(write(tmp_path, [make_run(0)], {"run0": predictions(right)}))
    assert found.tied_best is not None
    assert "is the only run whose answers can be compared" in found.tied_best.sentence
    assert found.comparisons == []
    assert found.power is None
    assert found.ablation is not None
    assert found.ablation.notes == ["One scored configuration has no axis to take apart."]
    assert found.notes == ["The base model has no answers to the same questions to compare with."]


def test_no_run_and_no_scores(tmp_path: Path) -> None:
    (right,) = shares_right([0.5])
    found = of_greedy(write(tmp_path, [], {"base": predictions(right)}))
    assert found.tied_best is None
    assert found.notes[0] == "No run has been trained and scored."


def test_failed_runs_and_runs_without_answers_are_left_out(tmp_path: Path) -> None:
    right = shares_right([0.5, 0.6])
    runs = [make_run(0), make_run(1), make_run(2, state="failed", metrics={}), make_run(3)]
    rows = {"run0": predictions(right[0]), "run1": predictions(right[1])}
    rows["run3"] = rows["run0"][:-1]
    found = of_greedy(write(tmp_path, runs, rows))
    assert found.tied_best is not None
    assert set(found.tied_best.p_values) == {"run0", "run1"}
    assert "r4 lr0.002 seed0 answered other questions and is not compared." in found.notes


def test_a_first_run_with_other_questions_does_not_speak_for_the_rest(tmp_path: Path) -> None:
    right = shares_right([0.5, 0.6, 0.7])
    rows = {f"run{i}": predictions(each) for i, each in enumerate(right)}
    rows["run0"] = rows["run0"][:-1]
    found = of_greedy(write(tmp_path, [make_run(i) for i in range(3)], rows))
    assert found.tied_best is not None
    assert set(found.tied_best.p_values) == {"run1", "run2"}
    assert "r2 lr0.001 seed0 answered other questions and is not compared." in found.notes


def test_predictions_of_questions_that_the_data_lacks_are_told_of(tmp_path: Path) -> None:
    store = grid_of_four(tmp_path)
    found = analyse(store, QUESTIONS[:-1]).decoders["greedy"]
    assert found.failures is None
    assert "is in none of the paragraphs" in found.notes[0]


def test_the_order_of_the_rows_decides_nothing(tmp_path: Path) -> None:
    store = grid_of_four(tmp_path)
    before = analyse(store, QUESTIONS)
    files = store.of_run("run2")
    files.write_predictions("greedy", files.read_predictions("greedy")[::-1])
    assert analyse(store, QUESTIONS) == before


def test_equal_scores_are_all_tied(tmp_path: Path) -> None:
    runs = [make_run(index) for index in range(4)]
    for name, right, says in (
        ("same", shares_right([0.5])[0], "All 4 runs are tied for best"),
        ("wrong", [False] * 80, "No run gives a right answer: exact match is 0"),
    ):
        rows = {run.id: predictions(right) for run in runs} | {"base": predictions(right)}
        found = of_greedy(write(tmp_path / name, runs, rows))
        assert found.best == "run0"
        assert found.tied_best is not None
        assert len(found.tied_best.members) == 4
        assert found.tied_best.sentence.startswith(says)
        assert not any(each.rank.is_shown for each in found.comparisons)
        assert found.power is None
        assert found.ablation is not None
        assert found.ablation.edges == []


def test_one_paragraph_tells_nothing_apart(tmp_path: Path) -> None:
    right = shares_right([0.2, 0.7, 0.4, 0.72])
    runs = [make_run(index) for index in range(4)]
    rows = {r.id: predictions(x, 80) for r, x in zip(runs, right, strict=True)}
    found = of_greedy(write(tmp_path, runs, rows))
    assert found.tied_best is not None
    assert len(found.tied_best.members) == 4
    assert "one paragraph, which cannot tell runs apart" in found.tied_best.sentence
    assert all(each.rank.interval is None and each.rank.reason for each in found.comparisons)
    assert found.ablation is not None
    assert found.ablation.axes == []
    assert found.ablation.notes


def test_without_the_questions_a_note_says_so(tmp_path: Path) -> None:
    analysis = analyse(grid_of_four(tmp_path), UserError("no file train.json"))
    found = analysis.decoders["greedy"]
    assert found.failures is None
    assert found.notes == ["Wrong answers are not classified: no file train.json."]


def test_a_test_set_takes_the_bias_away(tmp_path: Path) -> None:
    store = grid_of_four(tmp_path)
    results = store.read_results()
    card = make_card()
    store.write_results(results.model_copy(update={"data": {"eval": card, "test": card}}))
    best, base = shares_right([0.8, 0.1])
    store.of_run("run3").write_predictions("greedy", predictions(best), "test")
    store.of_base.write_predictions("greedy", predictions(base), "test")
    found = of_greedy(store)
    assert found.selection_bias == ""
    (of_base,) = found.test
    assert (of_base.run, of_base.against) == ("base", "run3")
    assert of_base.rank.mean == pytest.approx(-70)
    page = (tmp_path / "report" / "index.html").read_text()
    assert "On the test questions, which had no part in the choice" in page


def test_full_fine_tuning_stands_beside_the_chosen_run_on_the_test_set(tmp_path: Path) -> None:
    store = grid_of_four(tmp_path)
    results = store.read_results()
    scored = results.runs[0].model_copy(update={"test_metrics": {"eval_loss": 1.0}})
    store.write_results(results.model_copy(update={"runs": [scored, *results.runs[1:]]}))
    for folder, share in (("run3", 0.8), ("run0", 0.6)):
        (right,) = shares_right([share])
        store.of_run(folder).write_predictions("greedy", predictions(right), "test")
    (of_full,) = of_greedy(store).test
    assert (of_full.run, of_full.against) == ("run0", "run3")
    assert of_full.rank.mean == pytest.approx(-20)


def test_a_best_run_that_the_test_set_did_not_see_keeps_its_bias(tmp_path: Path) -> None:
    """Greedy answers chose another run than these did."""
    store = grid_of_four(tmp_path)
    card = make_card()
    results = store.read_results()
    store.write_results(results.model_copy(update={"data": {"eval": card, "test": card}}))
    assert of_greedy(store).test == []
    assert of_greedy(store).selection_bias


def test_articles_are_clusters_on_request(tmp_path: Path) -> None:
    store = grid_of_four(tmp_path)
    for run in ["run0", "run1", "run2", "run3"]:
        files = store.of_run(run)
        rows = files.read_predictions("greedy")
        named = [row.model_copy(update={"article": f"a{int(row.id[1:]) // 16}"}) for row in rows]
        files.write_predictions("greedy", named)
    results = with_analysis(store, QUESTIONS, "article")
    assert results.analysis is not None
    assert results.analysis.clusters == "article"
    found = results.analysis.decoders["greedy"]
    assert "in 5 articles" in found.comparisons[0].rank.sentence
    scores = results.runs[0].metrics["greedy"]
    assert isinstance(scores, Scores)
    assert scores.clusters == "article"
    by_paragraph = with_analysis(store, QUESTIONS).runs[0].metrics["greedy"]
    assert isinstance(by_paragraph, Scores)
    assert (by_paragraph.clusters, by_paragraph.rank.mean) == ("paragraph", scores.rank.mean)
    assert by_paragraph.rank.interval != scores.rank.interval
    write_report(store.out)


def test_a_question_that_was_answered_several_times_counts_by_its_mean(tmp_path: Path) -> None:
    right = shares_right([0.4, 0.8])
    draws = [
        [row.model_copy(update={"draw": n}) for row in predictions(drawn)]
        for n, drawn in enumerate(right)
    ]
    rows = [row for pair in zip(*draws, strict=True) for row in pair]
    greedy = predictions(shares_right([0.5])[0])
    found = of_greedy(write(tmp_path, [make_run(0), make_run(1)], {"run0": rows, "run1": greedy}))
    assert found.best == "run0"
    (comparison,) = found.comparisons
    assert comparison.rank.mean == pytest.approx(50 - 60)
    assert comparison.mcnemar_p_value is None


def test_damaged_answers_are_named(tmp_path: Path) -> None:
    store = grid_of_four(tmp_path)
    store.of_run("run1").predictions_file("greedy").write_text("torn")
    with pytest.raises(UserError, match=r"run1/predictions/greedy\.parquet: damaged"):
        analyse(store, QUESTIONS)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), num_runs=st.integers(1, 5), num_questions=st.integers(1, 12))
def test_any_answers_can_be_analysed(
    tmp_path: Path, data: st.DataObject, num_runs: int, num_questions: int
) -> None:
    answers = st.lists(st.booleans(), min_size=num_questions, max_size=num_questions)
    runs: list[RunRecord] = [make_run(index) for index in range(num_runs)]
    rows = {run.id: predictions(data.draw(answers)) for run in runs}
    store = write(tmp_path, runs, rows | {"base": predictions(data.draw(answers))})
    results: Results = with_analysis(store, QUESTIONS)
    assert results.analysis is not None
    found = results.analysis.decoders["greedy"]
    assert found.tied_best is not None
    assert found.best in found.tied_best.members
