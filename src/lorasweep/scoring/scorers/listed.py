"""All scorers by name: "f1", "regex:PATTERN", "module:function" come in; scorers go out."""

from collections.abc import Callable
from pathlib import Path

from lorasweep.errors import UserError
from lorasweep.scoring.rules.listed import parse_rules
from lorasweep.scoring.rules.rules import Rules
from lorasweep.scoring.scorers import bits, by_rules, choices, ngrams, sequences
from lorasweep.scoring.scorers.json_fields import json_fields
from lorasweep.scoring.scorers.numbers import number
from lorasweep.scoring.scorers.own import own_scorer
from lorasweep.scoring.scorers.patterns import regex
from lorasweep.scoring.scorers.scorer import Scorer
from lorasweep.study.scorers import kind_of
from lorasweep.study.sections import Evaluate

# A scorer is a file and a line here, and a line in `study.scorers` that says what it fits.
SCORERS: dict[str, Callable[[Rules, str], Scorer]] = {
    "exact_match": lambda rules, _: by_rules.exact_match(rules),
    "f1": lambda rules, _: by_rules.f1(rules),
    "contains": lambda rules, _: by_rules.contains(rules),
    "number": lambda *_: number(),
    "regex": lambda _, pattern: regex(pattern),
    "choice": lambda *_: choices.choice(),
    "chrf": lambda *_: ngrams.chrf(),
    "bleu": lambda *_: ngrams.bleu(),
    "rouge-l": lambda *_: sequences.rouge_l(),
    "edit": lambda *_: sequences.edit(),
    "json": lambda *_: json_fields(),
    "macro_f1": lambda *_: choices.macro_f1(),
    "mcc": lambda *_: choices.mcc(),
    "bits_per_byte": lambda *_: bits.scorer(),
}


def scorers_of(evaluate: Evaluate) -> list[Scorer]:
    """Return a study's scorers, in its order; raises UserError as `parse_scorer` does."""
    rules = parse_rules(evaluate.rules)
    return [parse_scorer(name, rules) for name in evaluate.scorers]


def parse_scorer(name: str, rules: Rules, folder: Path | None = None) -> Scorer:
    """Return the scorer of a name; functions of the user's are looked for in a folder, or here.

    Raises UserError that names evaluate.scorers, the name and the nearest right one.
    """
    try:
        is_own = kind_of(name) is None
    except UserError as error:
        raise UserError(f"evaluate.scorers: {error}") from None
    if is_own:
        return own_scorer(name, folder or Path.cwd())
    kind, _, pattern = name.partition(":")
    return SCORERS[kind](rules, pattern)
