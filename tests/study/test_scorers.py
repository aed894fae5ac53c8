"""Names of scorers in a study: what they fit, defaults by form, and wrong ones with the nearest."""

import subprocess
import sys

import pytest

from lorasweep.errors import UserError
from lorasweep.scoring.rules.listed import parse_rules
from lorasweep.scoring.scorers import listed
from lorasweep.study.scorers import (
    DEFAULTS,
    EVERY,
    SCORERS,
    WITH_A_PATTERN,
    checked_rank_by,
    checked_scorers,
    kind_of,
)

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
        "import sys, lorasweep.study.scorers as s; s.checked_scorers(['chrf', 'bleu'], 'chat');"
        "print({'sacrebleu', 'rouge_score', 'rapidfuzz', 'numpy'} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "set()"


@pytest.mark.parametrize("form", EVERY)
def test_defaults_fit_their_forms(form: str) -> None:
    default = DEFAULTS[form]  # type: ignore[index]
    assert checked_scorers(default.scorers, form) == list(default.scorers)  # type: ignore[arg-type]
    assert checked_rank_by(default.rank_by, default.scorers) == default.rank_by


def test_a_name_of_ones_own_is_left_to_its_function() -> None:
    for name in ("my_scores:rouge", "package.module:f", "ماژول:تابع"):
        assert kind_of(name) is None
        assert checked_scorers([name, "f1"], "qa") == [name, "f1"]
        assert checked_rank_by(name, [name]) == name


@pytest.mark.parametrize(
    ("names", "form", "message"),
    [
        (["F1"], "qa", r"no scorer 'F1'; did you mean 'f1'\?; one of your own is module:function"),
        (["BLEU"], "qa", r"did you mean 'bleu'\?"),
        (["rougeL"], "qa", r"did you mean 'rouge-l'\?"),
        (["exact-match"], "qa", r"did you mean 'exact_match'\?"),
        (["rouge_l"], "chat", r"did you mean 'rouge-l'\?"),
        (["regexp:x"], "qa", None),
        (["my module:f"], "qa", "no scorer 'my module:f'; known: bits_per_byte"),
        (["module:"], "qa", "no scorer 'module:'"),
        (["regex:"], "qa", r"'regex:' needs a pattern: 'regex:\[A-D\]'"),
        (["regex"], "qa", "'regex' needs a pattern"),
        (["regex:(a"], "qa", r"'regex:\(a': missing \), unterminated subpattern"),
        (
            ["choice"],
            "qa",
            "'choice' does not fit data of the form 'qa'; these do: exact_match, f1",
        ),
        (["f1"], "text", "'f1' does not fit data of the form 'text'; these do: bits_per_byte$"),
        (["mine:f"], "text", "'mine:f' does not fit data of the form 'text'"),
        (["f1", "chrf", "f1"], "chat", "'f1' stands there twice"),
        ([], "qa", "name at least one scorer"),
    ],
)
def test_wrong_scorers_are_one_message(names: list[str], form: str, message: str | None) -> None:
    if message is None:
        assert checked_scorers(names, form) == names  # type: ignore[arg-type]
        return
    with pytest.raises(UserError, match=message) as error:
        checked_scorers(names, form)  # type: ignore[arg-type]
    assert str(error.value).startswith("evaluate.scorers: ")


def test_what_cannot_rank_is_said() -> None:
    with pytest.raises(
        UserError, match=r"evaluate.rank_by: 'exact' is none of .*; did you mean 'exact_match'\?"
    ):
        checked_rank_by("exact", ["exact_match", "f1"])
    with pytest.raises(UserError, match=r"'mcc' is a score of the whole set, .*; rank by 'choice'"):
        checked_rank_by("mcc", ["macro_f1", "mcc"])
    with pytest.raises(UserError, match="rank by 'edit'"):
        checked_rank_by("macro_f1", ["macro_f1", "edit"])
