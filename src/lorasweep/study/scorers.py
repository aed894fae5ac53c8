"""Scorers and rules by name: which there are, which data they fit, and which can rank runs.

"f1", "regex:PATTERN" and "module:function" are scorers, "squad-v1.1" and "mlqa:ar" rules. The
functions are in `scoring.scorers` and `scoring.rules`: a study is checked without them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lorasweep.errors import UserError, nearest, quoted
from lorasweep.study.forms import Form

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
SHOWN_NAMES = {
    "exact_match": "EM", "f1": "F1", "choice": "accuracy", "chrf": "chrF", "bleu": "BLEU",
    "rouge-l": "ROUGE-L", "macro_f1": "macro-F1", "mcc": "MCC", "bits_per_byte": "bits per byte",
    "edit": "edit similarity", "json": "JSON fields",
}  # fmt: skip
WITH_A_PATTERN = ("regex",)
USERS = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
A_USERS_OWN = "one of your own is module:function"


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


def shown_name(name: str) -> str:
    """Return what people call a scorer within a sentence."""
    return SHOWN_NAMES.get(name, name)


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
    raise UserError(f"no scorer {quoted(name)}{nearest(name.lower(), shapes)}; {A_USERS_OWN}")


def known_rules(name: str) -> str:
    """Return the name of rules; UserError says the nearest right name."""
    kind, colon, language = name.partition(":")
    if name in PLAIN_RULES or language in RULES_OF_LANGUAGE.get(kind, ()):
        return name
    if kind in RULES_OF_LANGUAGE:
        languages = RULES_OF_LANGUAGE[kind]
        said = f"knows no answers in {quoted(language)}" if colon else "needs a language behind it"
        raise UserError(f"{kind} {said}, as {kind}:{languages[0]}; it knows {', '.join(languages)}")
    shapes = [*PLAIN_RULES, *(f"{each}:LANG" for each in RULES_OF_LANGUAGE)]
    raise UserError(f"no rules {quoted(name)}{nearest(name.lower(), shapes)}")


def checked_rules(name: str) -> str:
    """Return a study's rules; raises ValueError that says what is wrong with them."""
    try:
        return known_rules(name)
    except UserError as error:
        raise ValueError(str(error)) from None


def checked_scorers(names: list[str]) -> list[str]:
    """Return a study's scorers; raises ValueError that says what is wrong with them."""
    for name in names:
        try:
            kind_of(name)
        except UserError as error:
            raise ValueError(str(error)) from None
    if len(names) != len(set(names)):
        raise ValueError("a value occurs twice")
    return names


def checked_rank_by(name: str, scorers: Sequence[str]) -> str:
    """Return the scorer that ranks; ValueError unless it is one of the study's that can."""
    if name not in scorers:
        raise ValueError(f"it is none of evaluate.scorers{nearest(name, scorers)}")
    if not _ranks(name):
        other = next(filter(_ranks, scorers), "choice")
        raise ValueError(
            "it is a score of the whole set, and runs are ranked by a mean over examples; rank by "
            f"{other!r}"
        )
    return name


def refuse_scorers_of_other_forms(names: Sequence[str], form: Form) -> None:
    """Raise ValueError for the first scorer that data of a form have nothing for."""
    fitting = [each for each, kind in SCORERS.items() if form in kind.forms]
    for name in names:
        if form not in (kind_of(name) or Kind()).forms:
            raise ValueError(
                f"the scorer {quoted(name)} does not fit data of the form {form!r}; these do: "
                f"{', '.join(fitting)}"
            )


def _ranks(name: str) -> bool:
    return (kind_of(name) or Kind()).ranks


def _refuse_a_bad_pattern(name: str, pattern: str) -> None:
    if not pattern:
        raise UserError(f"{quoted(name)} needs a pattern: 'regex:[A-D]'")
    try:
        re.compile(pattern)
    except re.error as error:
        raise UserError(f"the pattern of {quoted(name)}: {error}") from None
