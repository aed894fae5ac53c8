"""The records' own values, such as classes of wrong answers and bins, in the report's language."""

import re

from lorasweep.report.words.language import Strings
from lorasweep.scoring.failures.classes import FailureClass
from lorasweep.scoring.failures.question_types import AnswerType, QuestionKind

RIGHT, NO_SPAN = "right", "no span"
NOT_FINITE = ("loss", "gradient")
TERMS = (RIGHT, NO_SPAN, *FailureClass, *QuestionKind, *AnswerType, *NOT_FINITE)
PERCENTS = re.compile(r"(\d+) to (\d+) %")
RANGE = re.compile(r"(\d+) to (\d+)")
# What is noted of a model whose weights come from a file of fewer bits.
DEQUANTISED = re.compile(
    r"(\d+)-bit weights \((\w+)\) dequantised: not bit-identical to the Hub's model"
)
OPEN = re.compile(r"(\d+) or more")


def key_of(term: str) -> str:
    """Return the name of a term among the strings: "boundary: too long" is boundary_too_long."""
    return re.sub(r"\W+", "_", term)


def term(value: str, say: Strings) -> str:
    """Return a term or a bin for people, and any other value, such as a name, as it is."""
    if value in TERMS:
        return say(f"term.{key_of(value)}")
    for pattern, key in ((PERCENTS, "percents"), (RANGE, "range"), (OPEN, "open")):
        if found := pattern.fullmatch(value):
            ends = [say.integer(int(end)) for end in found.groups()]
            return say(f"term.{key}", first=ends[0], last=ends[-1])
    return say.integer(int(value)) if value.isdecimal() else value


def note(text: str, say: Strings) -> str:
    """Return a note on a base model in the report's language; one that is not known as it is."""
    if found := DEQUANTISED.fullmatch(text):
        return say("note.dequantised", bits=say.integer(int(found[1])), kind=found[2])
    return text
