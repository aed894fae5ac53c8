"""The best run, and the others by what the analysis says of them."""

from invented import make_analysis, make_results, make_run

from lorasweep.folder.records import Results, RunRecord
from lorasweep.report.ranking import scored_runs, standing, tied_runs


def analysed(runs: list[RunRecord], p_values: dict[str, float]) -> Results:
    return make_results(runs, analysis=make_analysis(p_values))


def test_runs_are_held_against_the_best_one() -> None:
    runs = [make_run(0, 50.0), make_run(1, 62.0), make_run(2, 60.0), make_run(3, 59.0)]
    p_values = {runs[0].id: 0.01, runs[1].id: 1.0, runs[2].id: 0.4}
    results = analysed(runs, p_values)
    found = standing(results)
    assert found is not None
    assert found.best.run is runs[1]
    assert [each.run for each in found.tied] == [runs[2]]
    assert [each.run for each in found.behind] == [runs[0]]
    assert [each.run for each in found.not_compared] == [runs[3]]
    assert tied_runs(results) == {runs[1].id, runs[2].id}


def test_without_an_analysis_nothing_is_compared() -> None:
    runs = [make_run(0, 50.0), make_run(1, 62.0)]
    found = standing(make_results(runs))
    assert found is not None
    assert found.best.run is runs[1]
    assert [each.run for each in found.not_compared] == [runs[0]]
    assert tied_runs(make_results(runs)) == set()


def test_a_best_run_whose_answers_are_gone_is_tied_with_nobody() -> None:
    runs = [make_run(0, 50.0), make_run(1, 62.0), make_run(2, 60.0)]
    found = standing(analysed(runs, {runs[0].id: 0.4, runs[2].id: 1.0}))
    assert found is not None
    assert found.best.run is runs[1]
    assert not found.tied + found.behind
    assert [each.run for each in found.not_compared] == [runs[2], runs[0]]


def test_equal_runs_stay_in_their_order_so_that_the_chosen_one_is_first() -> None:
    runs = [make_run(0, 50.0, label="z"), make_run(1, 50.0, label="a")]
    assert [each.run for each in scored_runs(make_results(runs))] == runs


def test_only_finished_runs_can_be_best() -> None:
    runs = [make_run(0, 50.0), make_run(1, 62.0, state="stopped"), make_run(2, None)]
    found = standing(make_results(runs))
    assert found is not None
    assert found.best.run is runs[0]
    assert not found.tied + found.behind + found.not_compared


def test_there_is_no_best_run_without_scores() -> None:
    assert standing(make_results([make_run(0, None)])) is None
