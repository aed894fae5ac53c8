"""Folding: ways to write one thing end the same, and nothing else is lost."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorasweep.scoring.rules.folding import ARABIC_LETTERS, ARABIC_VOWELS, MARKS, folding_of
from lorasweep.study.scorers import RULES_OF_LANGUAGE


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("fa", "كتابي", "کتابی"),
        ("fa", "ســلام", "سلام"),
        ("fa", "خانهٔ ما", "خانه ما"),
        ("fa", "می‌روم", "می روم"),
        ("fa", "۱۲٫۵٪", "12.5%"),
        ("fa", "آسیاب", "آسیاب"),  # not its alef: it is another letter in Persian
        ("ar", "قُرْآنٌ", "قرآن"),
        ("ar", "هذا على", "هذا علی"),
        ("ar", "﷼", "ریال"),
        ("ur", "ہے۔", "هے."),
        ("hi", "१२ क्‍ष।", "12 क्ष."),
        ("zh", "（１２）。", "(12)."),
        ("ja", "「ｶﾞ」・", '"ガ" '),
        ("th", "ปี ๒๕๖๐", "ปี 2560"),
        ("th", "น้ำ", unicodedata.normalize("NFKC", "น้ำ")),
        ("ko", "“각”", '"각"'),
        ("en", "it’s – 1 234\u200e", "it's - 1 234"),
        ("de", "„Mühle“", '"Mühle"'),
        ("fr", "élève", "élève"),
    ],
)
def test_folds(language: str, text: str, expected: str) -> None:
    assert folding_of(language)(text) == expected


def test_letters_of_other_scripts_keep_their_marks() -> None:
    assert folding_of("th")("กี่") == unicodedata.normalize("NFKC", "กี่")
    assert folding_of("en")("كتاب") == "كتاب"


@given(st.sampled_from(RULES_OF_LANGUAGE["folded"]), st.text(max_size=30))
def test_folding_again_changes_nothing(language: str, text: str) -> None:
    fold = folding_of(language)
    once = unicodedata.normalize("NFKC", fold(text))
    assert unicodedata.normalize("NFKC", fold(once)) == once


def test_the_tables_end_in_ascii_marks_and_persian_letters() -> None:
    assert all(value.isascii() and not value.isalnum() for value in MARKS.values())
    assert set(ARABIC_LETTERS.values()) <= {"ی", "ک", "ه", "", " "}
    assert not set(ARABIC_VOWELS.values()) - {""}
    assert not MARKS.keys() & (ARABIC_LETTERS | ARABIC_VOWELS).keys()
