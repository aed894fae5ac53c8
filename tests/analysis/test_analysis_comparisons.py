"""Costs, seeds and power, from invented answers."""

from pathlib import Path

import pytest
from invented_answers import make_run, predictions, shares_right, write

from lorasweep.analysis.answers import Answers, answers_of
from lorasweep.analysis.comparisons import comparisons, costs, power, seed_spreads, tied_best
from lorasweep.folder.records import RunRecord
from lorasweep.scoring.stats.all_pairs import differences_from_chosen


def answers(out: Path, runs: list[RunRecord], shares: list[float]) -> Answers:
    right = shares_right(shares)
    rows = {run.id: predictions(r) for run, r in zip(runs, right, strict=True)}
    store = write(out, runs, rows)
    return answers_of(store, store.read_results(), "greedy")


def test_a_run_that_costs_more_and_is_no_better_is_not_on_the_front(tmp_path: Path) -> None:
    dear = [(10, 5.0), (20, 4.0), (20, 3.0), (40, 1.0), (80, 9.0)]
    runs = [
        make_run(i, trainable_parameters=parameters, train_seconds=seconds)
        for i, (parameters, seconds) in enumerate(dear)
    ]
    found = costs(answers(tmp_path, runs, [0.5, 0.6, 0.65, 0.6, 0.9]))
    assert found.by_parameters == ["run0", "run2", "run4"]
    assert found.by_seconds == ["run3", "run2", "run4"]
    assert found.by_memory == ["run4"]


def test_p_values_are_corrected_for_the_choice_of_the_best_run(tmp_path: Path) -> None:
    runs = [make_run(i) for i in range(4)]
    given = answers(tmp_path, runs, [0.5, 0.6, 0.55, 0.62])
    found, best = comparisons(given), given.ranking[0]
    for metric in ("f1", "exact_match"):
        expected = differences_from_chosen(given.marks(metric), best, given.clusters)
        assert [each.scores[metric].adjusted_p_value for each in found] == [
            expected[given.ids.index(each.run)].adjusted_p_value for each in found
        ]


def test_settings_with_several_seeds_show_their_spread(tmp_path: Path) -> None:
    runs = [make_run(i) for i in (0, 1, 4, 5, 2)]
    found = seed_spreads(answers(tmp_path, runs, [0.5, 0.6, 0.4, 0.7, 0.3]))
    assert [each.runs for each in found] == [["run0", "run4"], ["run1", "run5"]]
    assert [each.name for each in found] == ["r2 lr0.001", "r4 lr0.001"]
    assert [each.mean for each in found] == pytest.approx([45, 65])
    assert all(each.seed_deviation and each.question_error for each in found)


def test_power_is_that_of_the_next_run_that_answers_otherwise(tmp_path: Path) -> None:
    runs = [make_run(i) for i in range(3)]
    found = power(answers(tmp_path, runs, [0.6, 0.6, 0.4]))
    assert found is not None
    assert found.runs == ("run0", "run2")
    assert found.num_questions is not None
    assert found.num_questions > 80
    assert "a difference of 1 F1 would take about " in found.sentence


def test_many_names_are_cut_short(tmp_path: Path) -> None:
    runs = [make_run(i, label=f"run {i}") for i in range(9)]
    sentence = tied_best(answers(tmp_path, runs, [0.5] * 9)).sentence
    assert sentence.startswith("All 9 runs are tied for best: run 0, run 1, run 2, run 3, run 4, ")
    assert sentence.endswith(
        " and 3 more; these questions do not tell the others from run 0 at the 95 % level."
    )


def test_a_clear_winner_is_called_the_best(tmp_path: Path) -> None:
    runs = [make_run(i, label=f"run {i}") for i in range(3)]
    sentence = tied_best(answers(tmp_path, runs, [0.1, 0.9, 0.2])).sentence
    assert sentence == "run 1 is the best of 3 runs at the 95 % level."
