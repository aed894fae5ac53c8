"""Names of scorers in a study: what they fit, defaults by form, and wrong ones with the nearest."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lorasweep.errors import UserError
from lorasweep.scoring.rules.listed import parse_rules
from lorasweep.scoring.scorers import listed
from lorasweep.study.forms import DEFAULTS, Form
from lorasweep.study.scorers import (
    EVERY,
    SCORERS,
    WITH_A_PATTERN,
    checked_rank_by,
    checked_scorers,
    kind_of,
    refuse_scorers_of_other_forms,
)
from lorasweep.study.study import Study

RULES = parse_rules("squad-v1.1")


def test_the_names_of_studies_are_those_of_functions() -> None:
    assert list(listed.SCORERS) == list(SCORERS)
    for name, kind in SCORERS.items():
        full = f"{name}:[0-9]" if name in WITH_A_PATTERN else name
        scorer = listed.parse_scorer(full, RULES)
        assert scorer.name == full
        assert (scorer.low, scorer.high) == (kind.low, kind.high)
        assert scorer.higher_is_better == kind.higher_is_better
        assert scorer.is_share == kind.is_share
        assert kind.ranks == (name not in ("macro_f1", "mcc"))


def test_names_are_known_without_what_scores_them() -> None:
    code = (
        "import sys, lorasweep.study.scorers as s; s.checked_scorers(['chrf', 'bleu']);"
        "print({'sacrebleu', 'rouge_score', 'rapidfuzz', 'numpy'} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "set()"


@pytest.mark.parametrize("form", EVERY)
def test_defaults_fit_their_forms(form: Form) -> None:
    default = DEFAULTS[form]
    assert checked_scorers(list(default.scorers)) == list(default.scorers)
    assert checked_rank_by(default.rank_by, default.scorers) == default.rank_by
    refuse_scorers_of_other_forms(default.scorers, form)


def test_a_name_of_ones_own_is_left_to_its_function() -> None:
    for name in ("my_scores:rouge", "package.module:f", "ماژول:تابع"):
        assert kind_of(name) is None
        assert checked_scorers([name, "f1"]) == [name, "f1"]
        assert checked_rank_by(name, [name]) == name
        refuse_scorers_of_other_forms([name], "qa")


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Study]:
    """Return a study of a form, with lines of [evaluate]."""

    def of(form: str, *lines: str) -> Study:
        file = tmp_path / "study.toml"
        choices = 'choices = ["good", "bad"]' if form == "choice" else ""
        file.write_text(
            f'name = "s"\n[model]\nbase = "gpt2"\n[data]\ntrain = "rows.jsonl"\nform = "{form}"\n'
            f"{choices}\n[grid]\nrank = [4]\n[evaluate]\n" + "\n".join(lines)
        )
        return Study.load(file)

    return of


def test_a_study_names_its_scorers(load: Callable[..., Study], tmp_path: Path) -> None:
    study = load("chat", 'scorers = ["rouge-l", "regex:[A-D]", "mine:tone"]', 'rules = "mlqa:ar"')
    assert study.evaluate.scorers == ["rouge-l", "regex:[A-D]", "mine:tone"]
    assert (study.evaluate.rank_by, study.evaluate.rules) == ("rouge-l", "mlqa:ar")
    assert load("choice", 'scorers = ["choice", "mcc"]').evaluate.rank_by == "choice"
    plain = 'name = "s"\n[model]\nbase = "b"\n[data]\ntrain = "t.jsonl"\n[grid]\nrank = 4\n'
    (tmp_path / "plain.toml").write_text(plain + '[evaluate]\nscorers = ["edit", "chrf"]\n')
    assert Study.load(tmp_path / "plain.toml").evaluate.rank_by == "edit"
    assert load("text").evaluate.scorers == ["bits_per_byte"]


@pytest.mark.parametrize(
    ("form", "line", "message"),
    [
        (
            "qa",
            'scorers = ["F1"]',
            r"evaluate.scorers = \['F1'\]: no scorer 'F1'; did you mean 'f1'",
        ),
        ("qa", 'scorers = ["BLEU"]', r"did you mean 'bleu'\?; one of your own is module:function"),
        ("qa", 'scorers = ["rougeL"]', r"did you mean 'rouge-l'\?"),
        ("qa", 'scorers = ["exact-match"]', r"did you mean 'exact_match'\?"),
        ("qa", 'scorers = ["my module:f"]', "no scorer 'my module:f'; known: bits_per_byte"),
        ("qa", 'scorers = ["module:"]', "no scorer 'module:'"),
        ("qa", 'scorers = ["regex:"]', r"'regex:' needs a pattern: 'regex:\[A-D\]'"),
        ("qa", 'scorers = ["regex"]', "'regex' needs a pattern"),
        ("qa", 'scorers = ["regex:(a"]', r"the pattern of 'regex:\(a': missing \), unterminated"),
        ("qa", 'scorers = ["f1", "f1"]', "a value occurs twice"),
        ("qa", "scorers = []", "expected at least one value: scorers by name"),
        (
            "qa",
            'scorers = "choice"',
            "evaluate: the scorer 'choice' does not fit .* 'qa'; these do",
        ),
        ("text", 'scorers = "f1"', "'f1' does not fit .* 'text'; these do: bits_per_byte$"),
        ("text", 'scorers = "mine:f"', "'mine:f' does not fit data of the form 'text'"),
        (
            "qa",
            'rank_by = "exact"',
            "evaluate.rank_by = 'exact': it is none of evaluate.scorers; did",
        ),
        ("choice", 'scorers = ["mcc", "edit"]', "rank_by = 'mcc': .* rank by 'edit'"),
        ("choice", 'scorers = ["macro_f1"]', "a score of the whole set, .* rank by 'choice'"),
        (
            "qa",
            'rules = "squad2"',
            "evaluate.rules = 'squad2': no rules .*; did you mean 'squad-v2'",
        ),
        ("qa", 'rules = "mlqa:fa"', "mlqa knows no answers in 'fa', as mlqa:ar"),
    ],
)
def test_wrong_names_are_one_message(
    load: Callable[..., Study], form: str, line: str, message: str
) -> None:
    with pytest.raises(UserError, match=message) as error:
        load(form, line)
    assert "\n" not in str(error.value)
