"""Strings: every key that is used exists, every string is used, and numbers read well."""

import re
from itertools import accumulate
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from invented import make_results, make_run, write_results

import lorasweep.report
from lorasweep.errors import UserError
from lorasweep.hub.pull import NOTE
from lorasweep.report.load import load_outcome
from lorasweep.report.numbers import numbered
from lorasweep.report.page import make_sections
from lorasweep.report.words.language import Strings, languages, unmarked
from lorasweep.report.words.terms import RIGHT, TERMS, key_of, note, term
from lorasweep.scoring.failures.classes import FailureClass
from lorasweep.study.sections import Language

SAY, FARSI = Strings.load("en"), Strings.load("fa")
FIELD = re.compile(r"{(\w*)}")
ISOLATES = {"\u2066": 1, "\u2067": 1, "\u2069": -1}
PACKAGE = Path(lorasweep.report.__file__).parent


def test_every_string_is_used_and_every_literal_key_exists() -> None:
    paths = [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.html")]
    sources = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    keys = set(SAY._strings)
    literal = set(re.findall(r'\bsay\(\s*"([\w.]+)"', sources))
    counted = set(re.findall(r'\bsay\.count\(\s*"([\w.]+)"', sources))
    assert literal <= keys
    assert {f"{key}.{form}" for key in counted for form in ("one", "other")} <= keys
    names = set(re.findall(r"[\w]+", sources)) | {key_of(term) for term in TERMS}
    assert {f"term.{key_of(term)}" for term in TERMS} <= keys
    assert {f"meaning.{key_of(term)}" for term in (RIGHT, *FailureClass)} <= keys
    assert [
        key
        for key in keys
        if key.removesuffix(".one").removesuffix(".other").split(".")[-1] not in names
    ] == []


def test_an_unknown_language_names_those_there_are() -> None:
    with pytest.raises(UserError, match="no report in language 'em'; known: en"):
        Strings.load("em")


def test_numbers() -> None:
    assert SAY.integer(124439808) == "124,439,808"
    assert [SAY.rate(lr) for lr in (1e-3, 3e-4, 2.5e-5, 0.1)] == ["1e-3", "3e-4", "2.5e-5", "1e-1"]
    assert SAY.interval((58.04, 64.06)) == "58.0 – 64.1"
    assert SAY.gibibytes(3 * 2**29) == "1.50"


def test_counts_and_lists() -> None:
    assert SAY.count("summary.questions", 1) == "1 question"
    assert SAY.count("summary.questions", 2000) == "2,000 questions"
    assert SAY.list(["a", "b", "c"], most=2) == "a, b and 1 more"
    assert SAY.list(["a", "b"], most=2) == "a, b"


def test_braces_in_values_are_kept() -> None:
    assert SAY("summary.base_note", note="{context}").endswith("{context}")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("boundary: too long", "boundary: too long"),
        ("how many/much", "how many/much"),
        ("1 to 50", "1 to 50"),
        ("301 or more", "301 or more"),
        ("20 to 40 %", "20 to 40 %"),
        ("3", "3"),
        ("Grace_Hopper & co", "Grace_Hopper & co"),
    ],
)
def test_terms_and_bins_have_strings_and_names_stay(value: str, shown: str) -> None:
    assert term(value, SAY) == shown


@pytest.mark.parametrize("language", languages())
def test_every_language_has_the_same_strings_with_the_same_values_in_them(language: str) -> None:
    strings = Strings.load(language)._strings
    assert set(strings) == set(SAY._strings)
    assert {key: set(FIELD.findall(text)) for key, text in strings.items()} == {
        key: set(FIELD.findall(text)) for key, text in SAY._strings.items()
    }


def bare(text: str) -> str:
    """Return a text without its isolates, which are balanced."""
    depths = list(accumulate(ISOLATES.get(sign, 0) for sign in text))
    assert min(depths) == 0 == depths[-1]
    return "".join(sign for sign in text if sign not in ISOLATES)


def test_persian_numbers() -> None:
    assert FARSI.integer(124439808) == "۱۲۴٬۴۳۹٬۸۰۸"
    assert bare(FARSI.interval((58.04, 64.06))) == "۵۸٫۰ تا ۶۴٫۱"
    assert bare(FARSI.signed(-1.25, 2)) == "−۱٫۲۵"
    assert bare(FARSI.percent(0.34)) == "۳۴٪"
    assert FARSI.axis_value("dropout", 0.1) == "۰٫۱"
    assert FARSI.axis_value("rank", 16) == "۱۶"


def test_what_people_type_stays_in_persian_text() -> None:
    assert FARSI.axis_value("lr", 3e-4) == "3e-4"
    assert FARSI.axis_value("alpha", "2r") == "2r"
    sentence = FARSI("summary.base_note", note="r4 lr1e-3 (a)")
    assert "\u2066r4 lr1e-3 (a)\u2069" in sentence


def test_texts_keep_their_own_direction() -> None:
    assert (FARSI.direction_of("سلام r4"), FARSI.direction_of("r4")) == ("rtl", "auto")
    assert (SAY.direction_of("سلام"), SAY.isolated("سلام")) == ("ltr", "سلام")
    assert bare(FARSI.list(["r4", "r8", "r16"], most=2)) == "r4، r8 و ۱ مورد دیگر"
    assert FARSI.quoted("r4") == "\u2066r4\u2069"
    assert FARSI.quoted("۱۲") == "۱۲"


@given(st.text(max_size=20))
def test_whatever_a_value_holds_isolates_are_balanced(value: str) -> None:
    assume(not set(value) & set(ISOLATES))
    assert value in bare(FARSI("summary.base_note", note=value))


def test_what_is_isolated_is_not_isolated_again() -> None:
    name = FARSI.isolated("r4")
    assert FARSI.isolated(name) == name
    assert FARSI.isolated(f"{name}، {name}") == f"\u2066{name}، {name}\u2069"
    assert unmarked(FARSI.list(["r4", "r8"])) == "r4، r8"


def test_formulas_do_not_turn() -> None:
    said = FARSI("lora.numbers", name="r4", r=4, d=2, k=3, full=6, small=20, share="1", all="1",
                 of_model="1")  # fmt: skip
    assert "\u2066d · k = \u20666\u2069\u2069" in said
    assert "\u2066r (d + k) = \u206620\u2069\u2069" in said
    bare(said)


def test_the_note_on_weights_of_fewer_bits_is_in_the_reports_language() -> None:
    assert note(NOTE, SAY) == NOTE
    assert "بیتی" in note(NOTE, FARSI)
    assert note("something else", FARSI) == "something else"


def test_words_for_pictures_hold_no_marks(tmp_path: Path) -> None:
    write_results(tmp_path, make_results([make_run(0, 60.0), make_run(1, 50.0)]))
    sections = numbered(make_sections(load_outcome(tmp_path), FARSI), FARSI)
    words = [figure.alternative for section in sections for figure in section.figures()]
    assert words
    assert not any(set(text) & set(ISOLATES) for text in words)


def test_a_study_may_ask_for_every_language_that_there_is() -> None:
    assert list(get_args(Language)) == languages()
