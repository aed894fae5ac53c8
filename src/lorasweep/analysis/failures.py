"""Why answers of the best run are wrong, beside the base model's."""

from collections.abc import Iterable, Sequence

from lorasweep.analysis.answers import Answers
from lorasweep.data.examples import Group
from lorasweep.errors import UserError
from lorasweep.folder.findings import Breakdown, Changes, Example, Failures, Slice
from lorasweep.folder.scores import Prediction
from lorasweep.scoring.failures.breakdown import (
    Aspect,
    Row,
    breakdown,
    differences,
    examples,
    rows_of,
)
from lorasweep.scoring.failures.classes import FailureClass
from lorasweep.study.sections import Unit

EXAMPLES_PER_CLASS = 3


def failures(answers: Answers, paragraphs: Iterable[Group]) -> Failures:
    """Return the best run's answers by class and by question, with the base model's beside them.

    Of a decoder that samples, these are the first draws. Raises UserError as `classified` does.
    """
    known = list(paragraphs)
    best, base = (
        classified([draws[0] for draws in questions], known)
        for questions in (answers.predictions[answers.ranking[0]], answers.base)
    )
    return failures_of(best, base, answers.unit)


def classified(predictions: Iterable[Prediction], paragraphs: Iterable[Group]) -> list[Row]:
    """Classify a model's answers; UserError for one whose question is in no paragraph."""
    try:
        return rows_of(predictions, paragraphs)
    except ValueError as error:
        raise UserError(str(error)) from None


def failures_of(best: Sequence[Row], base: Sequence[Row], unit: Unit = "paragraph") -> Failures:
    """Return one model's answers by class and by question, with another's beside them.

    The examples of a class are the answers whose question ids have the smallest SHA-256.
    """
    return Failures(
        breakdowns=[
            Breakdown(
                aspect=aspect, best=_groups(best, aspect, unit), base=_groups(base, aspect, unit)
            )
            for aspect in Aspect
        ],
        changes=_changes(base, best) if base else None,
        examples=[
            _example(failure, row)
            for failure in FailureClass
            for row in examples(best, failure, EXAMPLES_PER_CLASS)
        ],
    )


def _groups(rows: Sequence[Row], aspect: Aspect, unit: Unit) -> list[Slice]:
    return [Slice(**vars(group)) for group in breakdown(rows, aspect, unit)]


def _changes(base: Sequence[Row], best: Sequence[Row]) -> Changes:
    found = differences(base, best)
    return Changes(
        became_right=len(found.became_right),
        became_wrong=len(found.became_wrong),
        stayed_right=found.stayed_right,
        stayed_wrong=found.stayed_wrong,
        mended={str(failure): count for failure, count in found.mended.items()},
        broken={str(failure): count for failure, count in found.broken.items()},
    )


def _example(failure: FailureClass, row: Row) -> Example:
    return Example(
        failure=failure,
        id=row.id,
        question=row.question,
        prediction=row.prediction,
        answers=list(row.answers),
    )
