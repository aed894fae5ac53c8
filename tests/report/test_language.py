"""Strings: every key that is used exists, every string is used, and numbers read well."""

import re
from pathlib import Path

import pytest

import lorasweep.report
from lorasweep.errors import UserError
from lorasweep.failures import FailureClass
from lorasweep.report.language import Strings
from lorasweep.report.terms import RIGHT, TERMS, key_of, term

SAY = Strings.load("en")
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
