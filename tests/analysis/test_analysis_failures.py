"""The best run's wrong answers beside the base model's."""

from pathlib import Path

import pytest
from invented_answers import make_run, paragraphs, predictions, write

from lorasweep import UserError
from lorasweep.analysis.answers import Answers, answers_of
from lorasweep.analysis.failures import classified, failures, failures_of
from lorasweep.scoring.failures.breakdown import Aspect


def answers(out: Path, best: list[bool], base: list[bool]) -> Answers:
    store = write(out, [make_run(0)], {"run0": predictions(best), "base": predictions(base)})
    return answers_of(store, store.read_results(), "greedy")


def test_every_aspect_counts_every_answer(tmp_path: Path) -> None:
    found = failures(answers(tmp_path, [True] * 6 + [False] * 2, [False] * 8), paragraphs(8))
    assert [each.aspect for each in found.breakdowns] == [str(aspect) for aspect in Aspect]
    for each in found.breakdowns:
        assert sum(group.count for group in each.best) == 8
        assert sum(group.count for group in each.base) == 8


def test_changes_go_from_the_base_model_to_the_best_run(tmp_path: Path) -> None:
    best = [True, True, True, False, False, True]
    base = [False, False, True, True, False, True]
    changes = failures(answers(tmp_path, best, base), paragraphs(6)).changes
    assert changes is not None
    counts = (changes.became_right, changes.became_wrong, changes.stayed_right)
    assert counts == (2, 1, 2)
    assert sum(changes.mended.values()) == 2
    assert sum(changes.broken.values()) == 1


def test_examples_are_at_most_three_of_a_class(tmp_path: Path) -> None:
    found = failures(answers(tmp_path, [False] * 8, [True] * 8), paragraphs(8))
    assert len(found.examples) == 3
    assert {each.prediction for each in found.examples} == {"Rome"}


def test_an_answer_to_an_unknown_question_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is in none of the paragraphs"):
        failures(answers(tmp_path, [True] * 8, [True] * 8), paragraphs(4))


def test_groups_of_several_paragraphs_have_an_interval_and_n() -> None:
    rows = classified(predictions([i % 3 > 0 for i in range(40)]), paragraphs(40))
    found = failures_of(rows, [])
    (by_kind,) = (each for each in found.breakdowns if each.aspect == "question kind")
    (group,) = by_kind.best
    assert group.count == 40
    assert group.rank.interval is not None
    assert group.rank.interval[0] < group.rank.mean < group.rank.interval[1]
