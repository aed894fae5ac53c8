"""Why answers are wrong: a class for each wrong answer, groups, and changes between runs."""

from lorasweep.failures.breakdown import (
    Aspect,
    Changes,
    Group,
    Row,
    breakdown,
    differences,
    examples,
    rows_of,
)
from lorasweep.failures.classes import FailureClass, classify
from lorasweep.failures.question_types import (
    AnswerType,
    QuestionKind,
    TextType,
    expected_type,
    kind_of,
    text_type,
)

__all__ = [
    "AnswerType",
    "Aspect",
    "Changes",
    "FailureClass",
    "Group",
    "QuestionKind",
    "Row",
    "TextType",
    "breakdown",
    "classify",
    "differences",
    "examples",
    "expected_type",
    "kind_of",
    "rows_of",
    "text_type",
]
