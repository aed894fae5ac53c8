"""The best run, and the others by what the intervals say."""

import pytest
from invented import make_results, make_run, make_scores

from lorasweep.records import Interval
from lorasweep.report.ranking import overlap, standing


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((1, 2), (2, 3), True),
        ((1, 2), (2.1, 3), False),
        ((1, 9), (4, 5), True),
        (None, (1, 2), None),
        ((1, 2), None, None),
    ],
)
def test_overlap(first: Interval | None, second: Interval | None, expected: bool | None) -> None:
    assert overlap(first, second) is expected


def test_runs_are_held_against_the_best_one() -> None:
    unknown = make_run(3, None, metrics={"greedy": make_scores(59.0, half_width=None)})
    runs = [make_run(0, 50.0), make_run(1, 62.0), make_run(2, 60.0), unknown]
    found = standing(make_results(runs))
    assert found is not None
    assert found.best.run is runs[1]
    assert [each.run for each in found.overlapping] == [runs[2]]
    assert [each.run for each in found.apart] == [runs[0]]
    assert [each.run for each in found.without_interval] == [runs[3]]


def test_only_finished_runs_can_be_best() -> None:
    runs = [make_run(0, 50.0), make_run(1, 62.0, state="stopped"), make_run(2, None)]
    found = standing(make_results(runs))
    assert found is not None
    assert found.best.run is runs[0]
    assert not found.overlapping + found.apart + found.without_interval


def test_there_is_no_best_run_without_scores() -> None:
    assert standing(make_results([make_run(0, None)])) is None
