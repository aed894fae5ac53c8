"""What the page's table of predictions holds: which answers, by the rule, and in what form."""

from pathlib import Path

import pytest
from invented import (
    HOSTILE,
    make_paragraphs,
    make_predictions,
    make_results,
    make_run,
    write_predictions,
)

from lorasweep.folder.store import Store
from lorasweep.report import predictions as rule
from lorasweep.report.blocks import Browser, Notice
from lorasweep.report.browser import CLASSES, Browsable, _utf16, browsable
from lorasweep.report.load import Outcome
from lorasweep.report.predictions import Held, hold
from lorasweep.report.sections.answers.predictions import predictions
from lorasweep.report.words.language import Strings
from lorasweep.scoring.failures.classes import FailureClass

SAY = Strings.load("en")


class Read(Outcome):
    """An outcome whose evaluation data can be read again."""

    paragraphs = tuple(make_paragraphs())  # type: ignore[assignment]


def outcome(out: Path, kind: type[Outcome] = Read) -> Outcome:
    """Return an outcome of three scored runs, of which the second is the best."""
    runs = [make_run(index, f1) for index, f1 in enumerate((40.0, 60.0, 50.0))]
    for run, num_right in zip(runs, (5, 30, 20), strict=True):
        write_predictions(out / "runs" / run.id, make_predictions(num_right))
    write_predictions(out / "base", make_predictions(1))
    return kind(Store(out), make_results(runs))


def held_of(out: Path, kind: type[Outcome] = Read) -> Held:
    held = hold(outcome(out, kind), "base model")
    assert held is not None
    return held


def given(shown: Browsable, answerer: int, question: int) -> list[object]:
    """Return the answer of an answerer to a question, as the script looks it up."""
    answers = shown.data["questions"][question][-1]
    return list(answers[shown.data["given"][answerer][question]])


def test_the_best_run_comes_first_then_the_base_model_then_runs_by_f1(tmp_path: Path) -> None:
    held = held_of(tmp_path)
    assert [one.name for one in held.answerers] == [
        "r16 lr0.001 attn", "base model", "r4 lr0.0003 attn", "r4 lr0.001 attn",
    ]  # fmt: skip
    assert [each.id for each in held.questions] == [f"q{i}" for i in range(40)]


def test_questions_are_those_with_the_smallest_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule, "MAX_QUESTIONS", 7)
    held = held_of(tmp_path)
    best = held.answerers[0].answers.values()
    smallest = sorted(best, key=rule._by_hash)[:7]
    assert {each.id for each in held.questions} == {each.id for each in smallest}
    assert held.num_questions == 40


def test_questions_and_runs_stop_where_they_have_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule, "MAX_QUESTION_BYTES", 2000)
    few = hold(found := outcome(tmp_path), "base model")
    assert few is not None
    assert 0 < len(few.questions) < 40
    size = sum(rule._size(each.id, each.question, *each.answers) for each in few.questions)
    assert 1000 < size < 2000
    monkeypatch.setattr(rule, "MAX_ANSWER_BYTES", 100)
    alone = hold(found, "base model")
    assert alone is not None
    assert (alone.num_held_runs, alone.num_runs) == (1, 3)
    words = [getattr(block, "text", "") for block in predictions(found, SAY).blocks]
    assert any("1 of 3 scored runs" in text for text in words)


def test_the_same_text_is_held_once_with_its_class(tmp_path: Path) -> None:
    shown = browsable(held_of(tmp_path), SAY)
    assert all(len(row[-1]) <= 2 for row in shown.data["questions"])
    assert len(shown.data["contexts"]) == 1
    assert shown.data["questions"][0][4] == [("a ship", -1), ("the ship", -1)]
    assert given(shown, 0, 0) == ["a ship", 100, 0]
    text, f1, outcome = given(shown, 1, 39)
    assert (text, f1) == (f"100 % of | {HOSTILE}", 12)
    assert shown.data["outcomes"][outcome] == "not in the context"
    assert shown.outcomes == [
        (2 + CLASSES.index(FailureClass.NOT_IN_CONTEXT), "not in the context")
    ]


def test_without_the_data_there_are_no_contexts_and_no_classes(tmp_path: Path) -> None:
    section = predictions(outcome(tmp_path, Outcome), SAY)
    notices = [block.text for block in section.blocks if isinstance(block, Notice)]
    assert ["contexts are not here" in text for text in notices] == [True]
    shown = next(block.content for block in section.blocks if isinstance(block, Browser))
    assert shown.data["contexts"] == []
    assert {answer[2] for row in shown.data["questions"] for answer in row[-1]} == {0, 1}
    assert shown.outcomes == []


def test_places_are_counted_as_javascript_counts() -> None:
    assert [_utf16("𝒳 and é", start) for start in (-1, 0, 1, 6)] == [-1, 0, 2, 7]


def test_an_unanswered_question_has_no_place(tmp_path: Path) -> None:
    held = held_of(tmp_path)
    answers = dict(held.answerers[1].answers)
    del answers["q0"]
    fewer = rule.Answerer("base model", False, answers)
    shown = browsable(Held(held.questions, {}, [held.answerers[0], fewer], 40, 1, 3), SAY)
    assert [places[0] for places in shown.data["given"]] == [0, -1]
