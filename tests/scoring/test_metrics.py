"""Exact match and F1: the official rules by hand, their properties, and a second implementation."""

import random
import re
import string
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorasweep.scoring.metrics import exact_match, f1, normalise

TEXTS = st.one_of(
    st.text(max_size=20),
    st.lists(
        st.sampled_from(["the", "A", "an", "cat", "Cat.", "dog", "'s", "-", "\t", "é", "thé"])
    ).map(" ".join),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Cat", "cat"),
        ("a an the", ""),
        ("theatre and another", "theatre and another"),
        ("  two \t\n words ", "two words"),
        ("U.S.A.", "usa"),
        ("a-b", "ab"),
        ("the-cat", "thecat"),
        ("co-op's", "coops"),
        ("$1,000.50", "100050"),
        ("“quoted” – dash", "“quoted” – dash"),
        ("vitamin a", "vitamin"),
        ("ÉCOLE", "école"),
        ("no\u00a0break", "no break"),
        ("a\u0301 b", "\u0301 b"),
    ],
)
def test_normalise(text: str, expected: str) -> None:
    assert normalise(text) == expected


@pytest.mark.parametrize(
    ("prediction", "answers", "expected"),
    [
        ("the Cat!", ["cat"], 1.0),
        ("cats", ["cat"], 0.0),
        ("dog", ["cat", "a dog"], 1.0),
        ("", ["the"], 1.0),
        ("", ["cat"], 0.0),
    ],
)
def test_exact_match(prediction: str, answers: list[str], expected: float) -> None:
    assert exact_match(prediction, answers) == expected


@pytest.mark.parametrize(
    ("prediction", "answers", "expected"),
    [
        ("the black cat", ["black cat"], 1.0),
        ("black cat", ["cat"], 2 / 3),
        ("cat cat", ["cat"], 2 / 3),
        ("cat cat dog", ["cat dog dog"], 2 / 3),
        ("cat", ["dog", "big cat", "cat and dog"], 2 / 3),
        ("cat", ["dog"], 0.0),
        ("", [""], 0.0),
        ("the", ["a"], 0.0),
    ],
)
def test_f1(prediction: str, answers: list[str], expected: float) -> None:
    assert f1(prediction, answers) == pytest.approx(expected, rel=1e-12)


def test_no_answers_is_an_error() -> None:
    for score in (exact_match, f1):
        with pytest.raises(ValueError):
            score("cat", [])


@settings(max_examples=100)
@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=4))
def test_properties(prediction: str, answers: list[str]) -> None:
    single = [f1(prediction, [answer]) for answer in answers]
    assert f1(prediction, answers) == max(single)
    assert exact_match(prediction, answers) == max(exact_match(prediction, [a]) for a in answers)
    assert all(0 <= score <= 1 for score in single)
    assert single == [f1(answer, [prediction]) for answer in answers]
    if exact_match(prediction, answers):
        assert f1(prediction, answers) == (1.0 if normalise(prediction) else 0.0)


def reference_words(text: str) -> list[str]:
    """Normalise character by character, without translate() or a pattern of articles."""
    kept = "".join(character for character in text.lower() if character not in string.punctuation)
    pieces = re.findall(r"\w+|\W", kept)
    return "".join(" " if piece in {"a", "an", "the"} else piece for piece in pieces).split()


def reference_scores(prediction: str, answers: list[str]) -> tuple[float, float]:
    """Score by striking out matched words one by one, with precision and recall."""
    best_match = best_f1 = 0.0
    predicted = reference_words(prediction)
    for answer in answers:
        unmatched = reference_words(answer)
        num_expected, num_hits = len(unmatched), 0
        if predicted == unmatched:
            best_match = 1.0
        for word in predicted:
            if word in unmatched:
                unmatched.remove(word)
                num_hits += 1
        if num_hits:
            precision, recall = num_hits / len(predicted), num_hits / num_expected
            best_f1 = max(best_f1, 2 * precision * recall / (precision + recall))
    return best_match, best_f1


WORDS = (
    *("the", "a", "An", "cat", "Denver", "Broncos", "in", "of", "1,000", "1856"),
    *("U.S.", "co-op", "café", "東京", "Señor", "£5", "Ärzte"),
)
MUTATIONS = (
    str.upper,
    str.lower,
    str.title,
    lambda text: f"the {text}",
    lambda text: f"{text}.",
    lambda text: f"“{text}”",
    lambda text: text.replace(" ", ", "),
    lambda text: text.replace(" ", "\u00a0 "),
    lambda text: text.replace(" ", "-"),
    lambda text: " ".join(text.split()[1:]),
    lambda text: " ".join(text.split()[::-1]),
    lambda text: f"{text} an extra",
    lambda text: f"{text} {text}",
    lambda text: unicodedata.normalize("NFD", text),
    lambda text: "",
)


def test_agrees_with_a_second_implementation_on_10000_predictions() -> None:
    rng = random.Random(0)
    scored = []
    for _ in range(10_000):
        answers = [
            " ".join(rng.choices(WORDS, k=rng.randint(1, 6))) for _ in range(rng.randint(1, 3))
        ]
        prediction = rng.choice(answers)
        for mutate in rng.sample(MUTATIONS, rng.randint(0, 3)):
            prediction = mutate(prediction)
        expected_match, expected_f1 = reference_scores(prediction, answers)
        assert exact_match(prediction, answers) == expected_match, (prediction, answers)
        assert f1(prediction, answers) == pytest.approx(expected_f1, abs=1e-12)
        scored.append((expected_match, expected_f1))
    # the cases must tell right from wrong from partly right
    assert 1000 < sum(match for match, _ in scored) < 9000
    assert sum(0 < score < 1 for _, score in scored) > 1000
