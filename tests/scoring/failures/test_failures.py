"""Failure classes: every rule by example, their order, and the tables made of them."""

import hashlib
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asked import Placed, question_of
from lorasweep.data.examples import Example, Group
from lorasweep.data.squad.sources import load
from lorasweep.folder.scores import Prediction
from lorasweep.scoring.failures.breakdown import (
    Aspect,
    Row,
    breakdown,
    differences,
    examples,
    rows_of,
)
from lorasweep.scoring.failures.classes import FailureClass, classify
from lorasweep.scoring.failures.question_types import AnswerType, QuestionKind
from lorasweep.scoring.metrics import exact_match, f1

CONTEXT = (
    "In 1871 the botanist Ada Moren sailed from Port Ellis to the northern islands with "
    "twenty-five sailors. Her ship, the Grey Heron, reached Saint Orla in May 1872, where Tom "
    "Brandt, a local pilot, drew three maps of the bay. Moren returned to Port Ellis in 1875. "
    "Holy, holy, holy was the first hymn she sang."
)


def asked(text: str, *answers: str, context: str = CONTEXT) -> Example:
    """A question whose answers stand at their first place in the context, -1 for nowhere."""
    return question_of("q", text, tuple(Placed(answer, context.find(answer)) for answer in answers))


WHO = asked("Who sailed from Port Ellis?", "Ada Moren", "the botanist Ada Moren")
WHEN = asked("When did the ship reach Saint Orla?", "May 1872")
SAILORS = asked("How many sailors were there?", "twenty-five")
WHERE = asked("Where did she sail to?", "the northern islands")


@pytest.mark.parametrize(
    ("question", "prediction", "expected"),
    [
        (WHO, "", FailureClass.EMPTY),
        (WHO, " the . ", FailureClass.EMPTY),
        (WHO, "Port Port Port", FailureClass.REPEATED),
        (WHO, "of the sea of the sea of the sea", FailureClass.REPEATED),
        (WHO, "ship sails in May, ship sails in May,", FailureClass.REPEATED),
        (WHO, "hahahahahahahahaha", FailureClass.REPEATED),
        (WHO, "Holy, holy, holy", FailureClass.OTHER_SPAN_OTHER_TYPE),
        (WHO, "New York, New York", FailureClass.NOT_IN_CONTEXT),
        (SAILORS, "25", FailureClass.FORM),
        (SAILORS, "twenty five", FailureClass.FORM),
        (WHEN, "1872, May", FailureClass.FORM),
        (WHO, "Ada Moren's", FailureClass.FORM),
        (WHERE, "northern island", FailureClass.FORM),
        (WHO, "Ada Moren sailed", FailureClass.TOO_LONG),
        (WHO, "In 1871 the botanist Ada Moren", FailureClass.TOO_LONG),
        (WHO, "it was Ada Moren", FailureClass.TOO_LONG),
        (WHO, "Moren", FailureClass.TOO_SHORT),
        (WHEN, "1872", FailureClass.TOO_SHORT),
        (WHEN, "Saint Orla in May", FailureClass.SHIFTED),
        (WHO, "Moren sailed from", FailureClass.SHIFTED),
        (WHO, "Tom Brandt", FailureClass.OTHER_SPAN_SAME_TYPE),
        (WHERE, "local pilot", FailureClass.OTHER_SPAN_SAME_TYPE),
        (WHEN, "1875", FailureClass.OTHER_SPAN_SAME_TYPE),
        (SAILORS, "three", FailureClass.OTHER_SPAN_SAME_TYPE),
        (WHO, "1875", FailureClass.OTHER_SPAN_OTHER_TYPE),
        (WHEN, "Tom Brandt", FailureClass.OTHER_SPAN_OTHER_TYPE),
        (SAILORS, "maps of the bay", FailureClass.OTHER_SPAN_OTHER_TYPE),
        (WHO, "Napoleon", FailureClass.NOT_IN_CONTEXT),
        (WHEN, "1999", FailureClass.NOT_IN_CONTEXT),
        (SAILORS, "25,000,000,000", FailureClass.NOT_IN_CONTEXT),
        (WHO, "nobody knows that, as no writer of those days has told", FailureClass.VERBOSE),
    ],
)
def test_classes(question: Example, prediction: str, expected: FailureClass) -> None:
    assert classify(prediction, True, question, CONTEXT) is expected


def test_an_answer_without_end_is_unended_only_if_long() -> None:
    verbose = "Ada Moren sailed from Port Ellis to the northern islands with"
    assert classify(verbose, False, WHO, CONTEXT) is FailureClass.UNENDED
    assert classify(verbose, True, WHO, CONTEXT) is FailureClass.TOO_LONG
    assert classify("Moren", False, WHO, CONTEXT) is FailureClass.TOO_SHORT


@pytest.mark.parametrize(
    ("prediction", "ended", "expected"),
    [
        # what an earlier rule takes, a later one never sees
        ("Ada Ada Ada Ada Ada Ada Ada Ada Ada", False, FailureClass.REPEATED),
        ("Ada Moren Ada Moren Ada Moren", True, FailureClass.REPEATED),
        ("the Ada-Moren", False, FailureClass.FORM),
    ],
)
def test_the_first_rule_that_holds_decides(
    prediction: str, ended: bool, expected: FailureClass
) -> None:
    assert classify(prediction, ended, WHO, CONTEXT) is expected


def test_the_offset_tells_which_place_is_meant() -> None:
    second = CONTEXT.rindex("Port Ellis")
    question = question_of("q", "Where did she return to?", (Placed("Port Ellis", second),))
    found = classify("Moren returned to Port Ellis", True, question, CONTEXT)
    assert found is FailureClass.TOO_LONG
    elsewhere = classify("sailed from Port Ellis", True, question, CONTEXT)
    assert elsewhere is not FailureClass.TOO_LONG
    unknown = question_of("q", "Where did she return to?", (Placed("Port Ellis", -1),))
    assert classify("sailed from Port Ellis", True, unknown, CONTEXT) is FailureClass.TOO_LONG


def test_a_reference_inside_a_word_is_held_to_its_characters() -> None:
    context = "European trade grew."
    question = question_of("q", "Which currency?", (Placed("Euro", 0),))
    assert classify("European", True, question, context) is FailureClass.TOO_LONG


def test_a_right_answer_has_no_class() -> None:
    with pytest.raises(ValueError, match="is right"):
        classify("ada moren", True, WHO, CONTEXT)


@pytest.mark.parametrize("length", [1, 2_000])
def test_a_long_prediction_is_classified_at_once(length: int) -> None:
    text = " ".join(f"{number}x" for number in range(length)) + " " + "7" * 6_000
    assert classify(text, True, WHO, CONTEXT) is FailureClass.REPEATED


@settings(max_examples=150)
@given(
    st.one_of(
        st.text(max_size=40),
        st.lists(st.sampled_from([*CONTEXT.split(), "1,000", "½", "-5", "٣"])).map(" ".join),
    ),
    st.booleans(),
)
def test_every_wrong_answer_has_one_class(prediction: str, ended: bool) -> None:
    for question in (WHO, WHEN, SAILORS, WHERE):
        references = list(question.references)
        if exact_match(prediction, references) == 0:
            assert isinstance(classify(prediction, ended, question, CONTEXT), FailureClass)


@settings(max_examples=100)
@given(st.data())
def test_a_span_is_classified_as_its_offsets_say(data: st.DataObject) -> None:
    words = [f"w{number}" for number in range(12)]
    context = " ".join(words)
    first, last, low, high = (data.draw(st.integers(0, 11)) for _ in range(4))
    (first, last), (low, high) = sorted((first, last)), sorted((low, high))
    gold = " ".join(words[first : last + 1])
    question = question_of("q", "What?", (Placed(gold, context.index(gold + " " * (last < 11))),))
    if (first, last) == (low, high):
        return
    found = classify(" ".join(words[low : high + 1]), True, question, context)
    if low <= first and last <= high:
        assert found is FailureClass.TOO_LONG
    elif first <= low and high <= last:
        assert found is FailureClass.TOO_SHORT
    elif low <= last and first <= high:
        assert found is FailureClass.SHIFTED
    else:
        assert found in (FailureClass.OTHER_SPAN_SAME_TYPE, FailureClass.OTHER_SPAN_OTHER_TYPE)


def prediction_of(question: Example, text: str, article: str = "Moren") -> Prediction:
    references = list(question.references)
    return Prediction(
        id=question.id, article=article, paragraph="p", question=question.prompt, prediction=text,
        answers=references, ended=True, num_tokens=1, exact_match=exact_match(text, references),
        f1=f1(text, references),
    )  # fmt: skip


QUESTIONS = tuple(
    question_of(name, question.prompt, question.placed)
    for name, question in (("who", WHO), ("when", WHEN), ("many", SAILORS), ("where", WHERE))
)
PARAGRAPH = Group("p", "Moren", CONTEXT, QUESTIONS)


def rows(*texts: str) -> list[Row]:
    pairs = zip(QUESTIONS, texts, strict=True)
    return rows_of([prediction_of(question, text) for question, text in pairs], [PARAGRAPH])


def test_rows_hold_what_is_known() -> None:
    right, wrong, *_ = rows("Ada Moren", "1872", "three", "")
    assert (right.failure, right.exact_match, right.position) == (None, 1.0, 1)
    assert (wrong.failure, wrong.answer_words) == (FailureClass.TOO_SHORT, 2)
    assert (wrong.kind, wrong.expected) == (QuestionKind.WHEN, AnswerType.DATE)
    assert wrong.context_words == len(CONTEXT.split())
    assert wrong.position == 1 + 5 * CONTEXT.index("May 1872") // len(CONTEXT)


def test_a_question_of_no_paragraph_is_refused() -> None:
    with pytest.raises(ValueError, match="'who' is in none"):
        rows_of([prediction_of(QUESTIONS[0], "x")], [])


def test_breakdown_by_failure_is_in_the_order_of_the_rules() -> None:
    groups = breakdown(rows("Ada Moren", "1872", "three", ""), Aspect.FAILURE)
    assert [(group.value, group.count) for group in groups] == [
        ("right", 1), ("empty", 1), ("boundary: too short", 1), ("other span, same type", 1),
    ]  # fmt: skip
    assert (groups[0].exact_match, groups[0].f1) == (100, 100)
    assert groups[2].f1 == pytest.approx(200 / 3)
    assert {group.f1_interval for group in groups} == {None}, "of one question each"


@pytest.mark.parametrize(
    ("by", "values"),
    [
        (Aspect.QUESTION_KIND, ["who", "when", "where", "how many/much"]),
        (Aspect.EXPECTED_TYPE, ["person", "place", "date", "number"]),
        (Aspect.ANSWER_LENGTH, ["1", "2", "3"]),
        (Aspect.CONTEXT_LENGTH, ["51 to 100"]),
        (Aspect.ANSWER_POSITION, ["0 to 20 %", "20 to 40 %", "40 to 60 %"]),
        (Aspect.ARTICLE, ["Moren"]),
    ],
)
def test_breakdown_by_what_is_known_of_the_question(by: Aspect, values: list[str]) -> None:
    groups = breakdown(rows("Ada Moren", "1872", "three", ""), by)
    assert [group.value for group in groups] == values
    assert sum(group.count for group in groups) == 4
    mean = sum(group.count * group.exact_match for group in groups) / 4
    assert mean == pytest.approx(25)


def test_differences_of_two_runs() -> None:
    a = rows("Ada Moren", "1872", "three", "")
    b = rows("Tom Brandt", "May 1872", "three", "islands")
    changes = differences(a, list(reversed(b)))
    assert [row.id for row in changes.became_right] == ["when"]
    assert changes.mended == {FailureClass.TOO_SHORT: 1}
    assert [row.id for row in changes.became_wrong] == ["who"]
    assert changes.broken == {FailureClass.OTHER_SPAN_SAME_TYPE: 1}
    assert (changes.stayed_right, changes.stayed_wrong) == (0, 2)
    with pytest.raises(ValueError, match="same questions"):
        differences(a, b[:-1])


def test_examples_are_those_of_the_least_hash() -> None:
    found = rows("", "", "", "")
    ids = sorted((row.id for row in found), key=lambda i: hashlib.sha256(i.encode()).hexdigest())
    assert [row.id for row in examples(found, FailureClass.EMPTY, 2)] == ids[:2]
    assert examples(found, FailureClass.FORM, 2) == []
    assert examples(found, None, 2) == []


def test_real_answers_get_the_class_that_they_were_made_for(shared: Path) -> None:
    dataset = load([str(shared / "data" / "squad" / "dev-a.json")])
    rng = random.Random(1)
    paragraphs = rng.sample(dataset.groups, 100)
    made = [
        (prediction, failure, question, paragraph.context)
        for paragraph in paragraphs
        for question in paragraph.examples
        for prediction, failure in _spoilt(question, paragraph.context)
        if not exact_match(prediction, list(question.references))
    ]
    right = [classify(text, True, q, context) == failure for text, failure, q, context in made]
    assert len(made) > 500
    assert sum(right) / len(right) > 0.95


def _spoilt(question: Example, context: str) -> list[tuple[str, FailureClass]]:
    answer = Placed(*question.placed[0])
    after = context[answer.start + len(answer.text) :].split()[:3]
    longer = " ".join([answer.text, *after])
    return [
        (longer, FailureClass.TOO_LONG),
        (f"{answer.text} xyzzy", FailureClass.TOO_LONG),
        ("xyzzy plugh", FailureClass.NOT_IN_CONTEXT),
    ]
