"""ROUGE-L and edit similarity: the libraries' figures, and both written anew."""

import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from written import example, pairs

from lorasweep.scoring.rules.listed import parse_rules
from lorasweep.scoring.scorers.listed import parse_scorer
from lorasweep.scoring.scorers.sequences import Words

RULES = parse_rules("squad-v1.1")
PAIRS = list(pairs(2000, seed=2))


def longest_common(one: list[str], other: list[str]) -> int:
    """Return the length of the longest common subsequence, a row at a time."""
    row = [0] * (len(other) + 1)
    for item in one:
        before = row[:]
        for place, against in enumerate(other, 1):
            row[place] = (
                before[place - 1] + 1 if item == against else max(row[place - 1], before[place])
            )
    return row[-1]


def distance(one: str, other: str) -> int:
    row = list(range(len(other) + 1))
    for number, character in enumerate(one, 1):
        before, row[0] = row[:], number
        for place, against in enumerate(other, 1):
            row[place] = min(before[place] + 1, row[place - 1] + 1,
                             before[place - 1] + (character != against))  # fmt: skip
    return row[-1]


def test_rouge_l_written_anew() -> None:
    scorer, words = parse_scorer("rouge-l", RULES), Words().tokenize
    for answer, each in PAIRS[:800]:
        best = 0.0
        for reference in each.references:
            mine, theirs = words(answer), words(reference)
            shared = longest_common(mine, theirs)
            best = max(best, 2 * shared / (len(mine) + len(theirs)) if shared else 0.0)
        assert scorer.score(answer, each) == pytest.approx(best, abs=1e-12)


def test_on_ascii_rouge_l_is_that_of_rouge_score() -> None:
    rng = random.Random(5)
    scorer, official = parse_scorer("rouge-l", RULES), RougeScorer(["rougeL"])
    letters = "abC dE 12.,'_-" + string.punctuation
    for _ in range(2000):
        answer, reference = ("".join(rng.choices(letters, k=rng.randint(0, 30))) for _ in "ab")
        expected = official.score(reference, answer)["rougeL"].fmeasure
        assert scorer.score(answer, example(reference)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The mill, at Orrin's", ["the", "mill", "at", "orrin", "s"]),
        ("آسیاب سرخ، ۱۳۲۰", ["آسیاب", "سرخ", "۱۳۲۰"]),
        ("می‌روم", ["می", "روم"]),
        ("مُحَمَّد", ["مُحَمَّد"]),
        ("红水车a1", ["红", "水", "车", "a1"]),
        ("น้ำใส", ["น้ำ", "ใ", "ส"]),
        ("ひらカタ", ["ひ", "ら", "カ", "タ"]),
        ("물레 방아", ["물레", "방아"]),
        ("हिन्दी है", ["हिन्दी", "है"]),
        ("👨‍👩‍👧🎉 ok", ["👨‍👩‍👧", "🎉", "ok"]),
        ("ครั้งที่ ๒", ["ค", "รั้", "ง", "ที่", "๒"]),
        ("...", []),
    ],
)
def test_words_of_any_script(text: str, words: list[str]) -> None:
    assert Words().tokenize(text) == words


@settings(max_examples=200)
@given(st.text(max_size=40))
def test_words_lose_no_letter(text: str) -> None:
    joined = "".join(Words().tokenize(text))
    assert [c for c in joined if c.isalnum()] == [c for c in text.lower() if c.isalnum()]


def test_edit_similarity_written_anew() -> None:
    scorer = parse_scorer("edit", RULES)
    for answer, each in PAIRS[:500]:
        expected = max(
            1 - distance(answer, text) / max(len(answer), len(text), 1) for text in each.references
        )
        assert scorer.score(answer, each) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ["rouge-l", "edit"])
def test_ends(name: str) -> None:
    scorer = parse_scorer(name, RULES)
    assert scorer.score("red mill", example("blue", "red mill")) == 1
    assert scorer.score("", example("red mill")) == 0
    assert parse_scorer("edit", RULES).score("", example()) == 1
