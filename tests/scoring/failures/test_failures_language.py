"""What failures knows of language: other forms of one answer, questions, types of texts."""

import pytest

from lorasweep.scoring.failures.forms import differ_in_form_only
from lorasweep.scoring.failures.question_types import (
    AnswerType,
    QuestionKind,
    TextType,
    expected_type,
    kind_of,
    text_type,
)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("twenty-five", "25"),
        ("1.5 million", "1,500,000"),
        ("two hundred and five", "205"),
        ("26 June 1956", "June 26th, 1956"),
        ("5 km", "five kilometres"),
        ("50%", "fifty per cent"),
        ("$3 million", "three million dollars"),
        ("life-span", "life span"),
        ("Luther's theories", "Luther theory"),
        ("second floor", "2nd floor"),
        ("Beyoncé", "Beyonce"),
        ("U.S.", "the United States"),
        ("US", "the United States"),
        ("US$5", "5 dollars"),
        ("10,000,000,000", "ten billion"),
    ],
)
def test_forms_of_one_answer(a: str, b: str) -> None:
    assert differ_in_form_only(a, b)
    assert differ_in_form_only(b, a)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("10-20", "1020"),
        ("½", "12"),
        ("-5", "5"),
        ("1990s", "1990"),
        ("hundreds", "100"),
        ("May 1872", "1872"),
        ("9007199254740993", "9007199254740992"),
        ("five miles", "five kilometres"),
        ("5 June 2010 to 3 May 2011", "3 June 2010 to 5 May 2011"),
        ("5 February 10", "10 February 5"),
        ("2 dollars 5 pounds", "5 dollars 2 pounds"),
        ("them and us", "them and United States"),
        ("\u1369 May", "1 May"),  # a digit that is no decimal one
        ("", ""),
        ("the", "a"),
    ],
)
def test_different_answers(a: str, b: str) -> None:
    assert not differ_in_form_only(a, b)


@pytest.mark.parametrize(
    ("question", "kind", "expected"),
    [
        ("Who sailed?", QuestionKind.WHO, AnswerType.PERSON),
        ("For whom was it built?", QuestionKind.WHO, AnswerType.PERSON),
        ("When did she sail?", QuestionKind.WHEN, AnswerType.DATE),
        ("When the ship sank, who drowned?", QuestionKind.WHO, AnswerType.PERSON),
        ("In what year did she sail?", QuestionKind.WHAT, AnswerType.DATE),
        ("Where did she land?", QuestionKind.WHERE, AnswerType.PLACE),
        ("Which two cities lie on it?", QuestionKind.WHICH, AnswerType.PLACE),
        ("What is the name of the largest city?", QuestionKind.WHAT, AnswerType.PLACE),
        ("How many sailed?", QuestionKind.HOW_MANY, AnswerType.NUMBER),
        ("By how much did it grow?", QuestionKind.HOW_MANY, AnswerType.NUMBER),
        ("How far is it?", QuestionKind.HOW, AnswerType.NUMBER),
        ("How did she travel?", QuestionKind.HOW, AnswerType.OTHER),
        ("What was the total population?", QuestionKind.WHAT, AnswerType.NUMBER),
        ("What country has a group who sails?", QuestionKind.WHAT, AnswerType.PLACE),
        ("The ship was named after what?", QuestionKind.WHAT, AnswerType.OTHER),
        ("In 1871, which captain sailed?", QuestionKind.WHICH, AnswerType.OTHER),
        ("Why did she sail?", QuestionKind.WHY, AnswerType.OTHER),
        ("Did she sail?", QuestionKind.OTHER, AnswerType.OTHER),
        ("", QuestionKind.OTHER, AnswerType.OTHER),
    ],
)
def test_questions(question: str, kind: QuestionKind, expected: AnswerType) -> None:
    assert kind_of(question) is kind
    assert expected_type(question) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1872", TextType.DATE),
        ("in the early 1990s", TextType.DATE),
        ("26 June 1956", TextType.DATE),
        ("the 19th century", TextType.DATE),
        ("300 BC", TextType.DATE),
        ("10 p.m.", TextType.DATE),
        ("1,200", TextType.NUMBER),
        ("about twenty-five sailors", TextType.NUMBER),
        ("$1.5 million", TextType.NUMBER),
        ("increased by 12 %", TextType.NUMBER),
        ("Ada Moren", TextType.NAME),
        ("the Bank of England", TextType.NAME),
        ("Super Bowl 50", TextType.NAME),
        ("a local pilot", TextType.OTHER),
        ("may sail", TextType.OTHER),
        ("", TextType.OTHER),
    ],
)
def test_types_of_texts(text: str, expected: TextType) -> None:
    assert text_type(text) is expected


def test_a_long_list_of_eras_is_read_at_once() -> None:
    assert text_type("10 bc " * 5000) is TextType.DATE
    assert text_type("10 bc " * 5000 + "x") is not None
