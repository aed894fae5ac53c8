"""Why answers are wrong: a class for each wrong answer, groups, and changes between runs."""

from lorasweep.scoring.failures.breakdown import (
    Aspect,
    Changes,
    Group,
    Row,
    breakdown,
    differences,
    examples,
    rows_of,
)
from lorasweep.scoring.failures.classes import FailureClass, classify
from lorasweep.scoring.failures.question_types import (
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
