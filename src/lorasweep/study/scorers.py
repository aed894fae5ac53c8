"""Scorers and rules by name: which there are, what they fit, and which are taken by default.

"f1", "regex:PATTERN" and "module:function" are scorers, "squad-v1.1" and "mlqa:ar" rules. The
functions are in `scoring.scorers` and `scoring.rules`: a study is checked without them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lorasweep.errors import UserError, nearest, quoted

Form = Literal["qa", "completion", "choice", "chat", "text"]
ANSWERED: tuple[Form, ...] = ("qa", "completion", "choice", "chat")
EVERY: tuple[Form, ...] = (*ANSWERED, "text")
CHOICE: tuple[Form, ...] = ("choice",)


@dataclass(frozen=True, slots=True)
class Kind:
    """What is known of a scorer without its function.

    `low` and `high` are the range of its scores, None where there is no bound; `ranks` says that a
    mean over examples is its score, or near it, so that runs can be ranked by it.
    """

    forms: tuple[Form, ...] = ANSWERED
    low: float | None = 0.0
    high: float | None = 1.0
    higher_is_better: bool = True
    ranks: bool = True

    @property
    def is_share(self) -> bool:
        """Say whether scores are shares of 0 to 1, which pages show as points of 100."""
        return (self.low, self.high) == (0.0, 1.0)


SCORERS = {
    "exact_match": Kind(),
    "f1": Kind(),
    "contains": Kind(),
    "number": Kind(),
    "regex": Kind(),
    "choice": Kind(CHOICE),
    "chrf": Kind(),
    "bleu": Kind(),
    "rouge-l": Kind(),
    "edit": Kind(),
    "json": Kind(),
    "macro_f1": Kind(CHOICE, ranks=False),
    "mcc": Kind(CHOICE, low=-1.0, ranks=False),
    "bits_per_byte": Kind(EVERY, high=None, higher_is_better=False),
}
WITH_A_PATTERN = ("regex",)
USERS = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
A_USERS_OWN = "one of your own is module:function"


@dataclass(frozen=True, slots=True)
class Default:
    """The scorers of a form where a study names none, and the one that ranks."""

    scorers: tuple[str, ...]
    rank_by: str


DEFAULTS: dict[Form, Default] = {
    "qa": Default(("exact_match", "f1"), "f1"),
    "completion": Default(("chrf", "exact_match"), "chrf"),
    "choice": Default(("choice",), "choice"),
    "chat": Default(("chrf", "exact_match"), "chrf"),
    "text": Default(("bits_per_byte",), "bits_per_byte"),
}
# Of `rules`, which decide what exact_match, f1 and contains take for the same.
DEFAULT_RULES = "squad-v1.1"
PLAIN_RULES = ("squad-v1.1", "squad-v2", "xquad", "korquad", "jaquad", "persianqa",
               "persianqa-chars")  # fmt: skip
# Rules with a language behind a colon, and the languages that they know.
RULES_OF_LANGUAGE = {
    "mlqa": ("ar", "de", "en", "es", "hi", "vi", "zh"),
    "folded": ("ar", "de", "el", "en", "es", "fa", "fr", "hi", "id", "it", "ja", "ko", "nl", "pl",
               "pt", "ro", "ru", "th", "tr", "ur", "vi", "zh"),
}  # fmt: skip


def kind_of(name: str) -> Kind | None:
    """Return what is known of a scorer, None for a user's own; UserError says the nearest name."""
    kind, colon, pattern = name.partition(":")
    if kind in WITH_A_PATTERN:
        _refuse_a_bad_pattern(name, pattern)
        return SCORERS[kind]
    if name in SCORERS:
        return SCORERS[name]
    if colon and USERS.fullmatch(name):
        return None
    shapes = [f"{each}:PATTERN" if each in WITH_A_PATTERN else each for each in SCORERS]
    raise UserError(
        f"evaluate.scorers: no scorer {quoted(name)}{nearest(name.lower(), shapes)}; {A_USERS_OWN}"
    )


def checked_scorers(names: Sequence[str], form: Form) -> list[str]:
    """Return a study's scorers; UserError where one is unknown, twice, or does not fit the form."""
    for name in names:
        kind = kind_of(name)
        if kind is not None and form not in kind.forms:
            raise UserError(_does_not_fit(name, form))
        if kind is None and form == "text":
            raise UserError(_does_not_fit(name, form))
    if not names:
        raise UserError("evaluate.scorers: name at least one scorer")
    twice = next((name for name in names if list(names).count(name) > 1), None)
    if twice is not None:
        raise UserError(f"evaluate.scorers: {quoted(twice)} stands there twice")
    return list(names)


def checked_rank_by(name: str, scorers: Sequence[str]) -> str:
    """Return the scorer that ranks; UserError unless it is one of the study's that can."""
    if name not in scorers:
        raise UserError(
            f"evaluate.rank_by: {quoted(name)} is none of evaluate.scorers{nearest(name, scorers)}"
        )
    kind = kind_of(name)
    if kind is not None and not kind.ranks:
        others = [each for each in scorers if (known := kind_of(each)) is None or known.ranks]
        raise UserError(
            f"evaluate.rank_by: {quoted(name)} is a score of the whole set, and runs are ranked by "
            f"a mean over examples; rank by {others[0] if others else 'choice'!r}"
        )
    return name


def checked_rules(name: str, field: str = "evaluate.rules") -> str:
    """Return the name of rules; UserError names the field and the nearest right name."""
    kind, colon, language = name.partition(":")
    if name in PLAIN_RULES:
        return name
    if kind in RULES_OF_LANGUAGE:
        if language in RULES_OF_LANGUAGE[kind]:
            return name
        known = ", ".join(RULES_OF_LANGUAGE[kind])
        said = f"knows no answers in {quoted(language)}" if colon else "needs a language behind it"
        raise UserError(f"{field}: {kind} {said}, as {kind}:{known.partition(',')[0]}; it knows "
                        f"{known}")  # fmt: skip
    shapes = [*PLAIN_RULES, *(f"{each}:LANG" for each in RULES_OF_LANGUAGE)]
    raise UserError(f"{field}: no rules {quoted(name)}{nearest(name, shapes)}")


def _refuse_a_bad_pattern(name: str, pattern: str) -> None:
    if not pattern:
        raise UserError(f"evaluate.scorers: {quoted(name)} needs a pattern: 'regex:[A-D]'")
    try:
        re.compile(pattern)
    except re.error as error:
        raise UserError(f"evaluate.scorers: {quoted(name)}: {error}") from None


def _does_not_fit(name: str, form: Form) -> str:
    fitting = [each for each, kind in SCORERS.items() if form in kind.forms]
    return (
        f"evaluate.scorers: {quoted(name)} does not fit data of the form {form!r}; these do: "
        + (", ".join(fitting))
    )
