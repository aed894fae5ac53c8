"""Checks on the bundled corpus of question-answering articles."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from alike import most_alike, question_form

CORPUS = Path(__file__).resolve().parents[2] / "src" / "lorasweep" / "data" / "corpus"
KINDS = ("who", "when", "where", "what", "how many", "why")


def load_articles() -> list[dict[str, Any]]:
    """Return every article of the corpus in the order of its file names."""
    articles: list[dict[str, Any]] = []
    for path in sorted(CORPUS.glob("*.json")):
        articles += json.loads(path.read_text(encoding="utf-8"))["data"]
    return articles


def load_paragraphs() -> list[dict[str, Any]]:
    """Return every paragraph of every article."""
    return [paragraph for article in load_articles() for paragraph in article["paragraphs"]]


def load_questions() -> list[dict[str, Any]]:
    """Return every question of every paragraph."""
    return [question for paragraph in load_paragraphs() for question in paragraph["qas"]]


def word_runs(text: str, length: int) -> set[str]:
    """Return the runs of that many lowercased words without punctuation."""
    words = re.findall(r"\w+", re.sub(r"['’]", "", text.lower()))
    return {" ".join(words[i : i + length]) for i in range(len(words) - length + 1)}


def test_question_form_masks_names_and_numbers() -> None:
    """Names and numbers become one underscore, and the first word is kept."""
    assert question_form("When did Port Sallow lose 1,200 Boats?") == "when did _ lose _"
    assert question_form("Ostrel is where?") == "ostrel is where"


def test_corpus_is_large_enough() -> None:
    """The corpus has the articles, paragraphs and questions that it promises."""
    assert len(load_articles()) >= 12
    assert len(load_paragraphs()) >= 60
    assert len(load_questions()) >= 300


def test_contexts_have_a_moderate_length() -> None:
    """Every context has 80 to 180 words."""
    lengths = {p["context"][:40]: len(p["context"].split()) for p in load_paragraphs()}
    assert {start: n for start, n in lengths.items() if not 80 <= n <= 180} == {}


def test_answers_stand_at_their_offsets() -> None:
    """Every question has an answer, and every answer is in the context where it says."""
    for paragraph in load_paragraphs():
        for question in paragraph["qas"]:
            assert question["answers"], question["id"]
            for answer in question["answers"]:
                start, text = answer["answer_start"], answer["text"]
                assert text, question["id"]
                assert paragraph["context"][start : start + len(text)] == text, question["id"]


def test_question_ids_are_unique() -> None:
    """No id is given to two questions."""
    ids = Counter(question["id"] for question in load_questions())
    assert [name for name, count in ids.items() if count > 1] == []


def test_paragraphs_share_no_long_run_of_words() -> None:
    """No 8 words in a row occur in two paragraphs."""
    runs = Counter(run for p in load_paragraphs() for run in word_runs(p["context"], 8))
    assert [run for run, count in runs.items() if count > 1] == []


def test_question_forms_are_varied() -> None:
    """No question form occurs more than three times."""
    forms = Counter(question_form(question["question"]) for question in load_questions())
    assert {form: count for form, count in forms.items() if count > 3} == {}


def test_no_two_questions_are_alike() -> None:
    """No two questions share most of their words."""
    assert most_alike([question["question"] for question in load_questions()]) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_question_occurs(kind: str) -> None:
    """At least 5 questions begin with the word or words of each kind."""
    pattern = re.compile(rf"{kind}\b", re.IGNORECASE)
    assert sum(1 for q in load_questions() if pattern.match(q["question"])) >= 5
