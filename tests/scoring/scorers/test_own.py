"""Scorers of the user's own: what they get, what is kept of them, and every way to go wrong."""

import hashlib
import sys
from pathlib import Path

import pytest
from written import example

from lorasweep.errors import UserError
from lorasweep.scoring.rules.listed import parse_rules
from lorasweep.scoring.scorers.listed import parse_scorer
from lorasweep.scoring.scorers.scorer import Scorer

RULES = parse_rules("squad-v1.1")
SOURCE = """
import neighbour_of_the_scorers

def longest(answer, example):
    return neighbour_of_the_scorers.length(answer) / len(example.references[0])

def words(answer, example, least=1):
    return sum(len(word) >= least for word in answer.split())

words.low, words.higher_is_better = 0, False

def share(answer, example):
    return answer == example.references[0]

share.low, share.high = 0.0, 1.0

def of_fields(answer, example):
    return example.fields["weight"]

def breaks(answer, example):
    return 1 / len(answer)

def says_nothing(answer, example):
    print("nothing")

def says_words(answer, example):
    return "0.5"

def is_nan(answer, example):
    return float("nan")

def of_one(answer):
    return 1.0

def of_three(answer, example, further):
    return 1.0

def with_a_low_word(answer, example):
    return 1.0

with_a_low_word.low = "none"
number = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "mine.py").write_text(SOURCE)
    (tmp_path / "neighbour_of_the_scorers.py").write_text(
        "def length(text):\n    return len(text)\n"
    )
    (tmp_path / "broken.py").write_text("def f(answer, example)\n    return 1\n")
    (tmp_path / "failing.py").write_text("raise RuntimeError('not\\ntoday')\n")
    (tmp_path / "needing.py").write_text("import no_such_package_anywhere\n")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "deep.py").write_text("def one(answer, example):\n    return 1\n")
    return tmp_path


def scorer(name: str, folder: Path) -> Scorer:
    return parse_scorer(name, RULES, folder)


def test_a_function_of_the_folder_scores(folder: Path) -> None:
    found = scorer("mine:longest", folder)
    assert found.name == "mine:longest"
    assert found.score("mill", example("the mill")) == 0.5
    assert (found.low, found.high, found.higher_is_better) == (None, None, True)
    assert not found.is_share
    digest = hashlib.sha256((folder / "mine.py").read_bytes()).hexdigest()
    assert found.signature == f"sha256:{digest}"
    assert scorer("inner.deep:one", folder).score("", example("x")) == 1


def test_a_function_may_say_its_range_and_direction(folder: Path) -> None:
    words = scorer("mine:words", folder)
    assert (words.low, words.high, words.higher_is_better) == (0, None, False)
    share = scorer("mine:share", folder)
    assert share.is_share
    assert share.score("mill", example("mill")) == 1.0


def test_two_folders_may_have_modules_of_one_name(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.py").write_text("def words(answer, example):\n    return -1\n")
    assert scorer("mine:words", folder).score("a b", example("x")) == 2
    assert scorer("mine:words", other).score("a b", example("x")) == -1
    (other / "mine.py").write_text("def words(answer, example):\n    return -2.5\n")
    assert scorer("mine:words", other).score("a b", example("x")) == -2.5


def test_an_installed_function_and_the_folder_one_stands_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert parse_scorer("inner.deep:one", RULES).score("", example("x")) == 1
    assert scorer("operator:ne", folder).score("mill", example("mill")) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mind:words", r"'mind:words': no module 'mind' in .*; did you mean 'mine'\?"),
        ("inner.shallow:one", "no module 'inner.shallow' in"),
        ("mine:word", r"its module has no 'word'; did you mean 'words'\?"),
        ("mine:number", "'number' is no function, but 3"),
        ("mine:of_one", r"of_one\(answer\) is to take two arguments, \(answer, example\)"),
        ("mine:of_three", r"of_three\(answer, example, further\) is to take two arguments"),
        ("mine:with_a_low_word", "its attribute low is 'none', not a number"),
        ("broken:f", "importing it fails: SyntaxError: expected ':'"),
        ("failing:f", "importing it fails: RuntimeError: not today"),
        ("needing:f", "needing needs 'no_such_package_anywhere', which is not installed"),
    ],
)
def test_what_cannot_be_called_is_one_message(folder: Path, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        scorer(name, folder)
    assert str(error.value).startswith(f"evaluate.scorers: {name!r}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("breaks", "example 'e': it raises ZeroDivisionError: division by zero"),
        ("of_fields", "example 'e': it raises KeyError: 'weight'"),
        ("says_nothing", "example 'e': it returns None, not a number"),
        ("says_words", "example 'e': it returns '0.5', not a number"),
        ("is_nan", "example 'e': it returns nan, not a finite number"),
    ],
)
def test_what_fails_while_scoring_names_the_example(
    folder: Path, function: str, message: str
) -> None:
    found = scorer(f"mine:{function}", folder)
    with pytest.raises(UserError, match=message):
        found.score("", example("mill"))
