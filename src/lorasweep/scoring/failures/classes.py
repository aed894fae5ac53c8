"""One class for every wrong answer, by written rules in a fixed order.

A wrong answer (exact match 0) gets the first class whose rule holds; `RULES` is this table:

1. empty: no word is left after the official normalising.
2. repeated: a phrase of one to three words stands at least three times in a row, or a longer one
   at least twice, or a piece of one to eight characters at least eight times (but for a number's
   zeros); and the text does not stand in the context.
3. unended: the decoder gave no end token, and the answer has more than twice as many words as the
   longest reference. Predictions of other systems, of which no end is known, count as ended.
4. equal but for form: equal to a reference after `forms.canonical`, which evens out number words,
   dates, units, hyphens, plurals and possessives. Such a question's references deserve a look.
5. boundary: the answer stands in the context over a reference's span, found by its answer_start;
   without one, or where the answer is no part of the context, one text holds the other's words in
   a row. Too long: it holds the reference. Too short: it lies in it. Shifted: both have words of
   their own. With several references (or places), the pair with the largest share in common
   counts.
6. other span: the answer stands elsewhere in the context. Same type: it looks like what the
   question expects, or like a reference where none looks like that
   (`question_types.is_of_expected_type`); other type: it does not.
7. verbose: at least ten words, and more than twice as many as the longest reference has.
8. not in the context: what remains.

Words are compared in lower case without punctuation and articles.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np

from lorasweep.data.examples import Example
from lorasweep.scoring.failures.forms import differ_in_form_only
from lorasweep.scoring.failures.question_types import is_of_expected_type
from lorasweep.scoring.failures.spans import (
    Span,
    occurrences,
    positions,
    span_from,
    texts,
    words_of,
)
from lorasweep.scoring.metrics import exact_match, normalise

MAX_PHRASE_WORDS = 50
SHORT_PHRASE_WORDS = 3
COPIES_OF_SHORT_PHRASE = 3
COPIES_OF_LONG_PHRASE = 2
LOOPING_CHARACTERS = re.compile(r"(?!0{8})(\S{1,8}?)\1{7,}")
FEWEST_WORDS_OF_VERBOSE = 10


class FailureClass(StrEnum):
    """Why an answer is wrong; the order is that of the rules."""

    EMPTY = "empty"
    REPEATED = "repeated"
    UNENDED = "unended"
    FORM = "equal but for form"
    TOO_LONG = "boundary: too long"
    TOO_SHORT = "boundary: too short"
    SHIFTED = "boundary: shifted"
    OTHER_SPAN_SAME_TYPE = "other span, same type"
    OTHER_SPAN_OTHER_TYPE = "other span, other type"
    VERBOSE = "verbose"
    NOT_IN_CONTEXT = "not in the context"


@dataclass(frozen=True)
class _Case:
    """A wrong answer and what the rules ask about it, each worked out once."""

    prediction: str
    ended: bool
    question: Example
    context: str

    @cached_property
    def references(self) -> tuple[str, ...]:
        return self.question.references

    @cached_property
    def words(self) -> list[str]:
        return texts(words_of(self.prediction))

    @cached_property
    def places(self) -> list[Span]:
        return occurrences(self.prediction, words_of(self.context))

    @cached_property
    def boundary(self) -> FailureClass | None:
        return _boundary_of_spans(self) or _boundary_of_texts(self)


RULES: tuple[tuple[FailureClass, Callable[[_Case], bool]], ...] = (
    (FailureClass.EMPTY, lambda case: not normalise(case.prediction)),
    (FailureClass.REPEATED, lambda case: not case.places and _loops(case.prediction)),
    (FailureClass.UNENDED, lambda case: not case.ended and _is_long(case)),
    (FailureClass.FORM, lambda case: _is_another_form(case)),
    (FailureClass.TOO_LONG, lambda case: case.boundary is FailureClass.TOO_LONG),
    (FailureClass.TOO_SHORT, lambda case: case.boundary is FailureClass.TOO_SHORT),
    (FailureClass.SHIFTED, lambda case: case.boundary is FailureClass.SHIFTED),
    (FailureClass.OTHER_SPAN_SAME_TYPE, lambda case: bool(case.places) and _is_fitting(case)),
    (FailureClass.OTHER_SPAN_OTHER_TYPE, lambda case: bool(case.places)),
    (FailureClass.VERBOSE, lambda case: _is_verbose(case)),
    (FailureClass.NOT_IN_CONTEXT, lambda case: True),
)


def classify(prediction: str, ended: bool, question: Example, context: str) -> FailureClass:
    """Return the class of a wrong answer, by the first rule of the module's table that holds.

    `ended` says whether the decoder stopped by itself. Raises ValueError for a right answer.
    """
    case = _Case(prediction, ended, question, context)
    if exact_match(prediction, case.references):
        raise ValueError(f"question {question.id!r}: {prediction!r} is right")
    return next(failure for failure, holds in RULES if holds(case))


def _loops(text: str) -> bool:
    words = normalise(text).split()
    if LOOPING_CHARACTERS.search("".join(words)):
        return True
    _, ids = np.unique(np.asarray(words), return_inverse=True)
    longest_phrase = min(MAX_PHRASE_WORDS, len(words) // 2)
    return any(_most_copies(ids, n) >= _copies(n) for n in range(1, longest_phrase + 1))


def _most_copies(ids: np.ndarray, num_words: int) -> int:
    """Return how often some phrase of so many words stands in a row at most."""
    breaks = np.flatnonzero(ids[:-num_words] != ids[num_words:])
    edges = np.concatenate([[-1], breaks, [len(ids) - num_words]])
    return 1 + int(np.diff(edges).max() - 1) // num_words


def _copies(num_words: int) -> int:
    return COPIES_OF_SHORT_PHRASE if num_words <= SHORT_PHRASE_WORDS else COPIES_OF_LONG_PHRASE


def _is_long(case: _Case) -> bool:
    longest = max(len(reference.split()) for reference in case.references)
    return len(case.prediction.split()) > 2 * longest


def _is_verbose(case: _Case) -> bool:
    return _is_long(case) and len(case.prediction.split()) >= FEWEST_WORDS_OF_VERBOSE


def _is_another_form(case: _Case) -> bool:
    return any(differ_in_form_only(case.prediction, reference) for reference in case.references)


def _is_fitting(case: _Case) -> bool:
    return is_of_expected_type(case.prediction, str(case.question.prompt), case.references)


def _boundary_of_spans(case: _Case) -> FailureClass | None:
    """Return how the answer's places in the context meet the references' spans, if they do."""
    pairs = [(p, g) for g in _reference_spans(case) for p in case.places if p.overlap(g)]
    if not pairs:
        return None
    place, gold = max(pairs, key=lambda pair: _share_in_common(*pair))
    if place.holds(gold):
        return FailureClass.TOO_LONG
    return FailureClass.TOO_SHORT if gold.holds(place) else FailureClass.SHIFTED


def _reference_spans(case: _Case) -> Iterator[Span]:
    for text, start in case.question.placed:
        span = span_from(text, start) if start >= 0 else None
        if span is not None:
            yield span


def _share_in_common(a: Span, b: Span) -> float:
    common = a.overlap(b)
    return common / (a.end - a.start + b.end - b.start - common)


def _boundary_of_texts(case: _Case) -> FailureClass | None:
    """Return whether one text holds the other, where one of them has no place in the context."""
    references = [
        texts(words_of(text))
        for text, start in case.question.placed
        if start < 0 or not case.places
    ]
    if any(positions(reference, case.words) for reference in references):
        return FailureClass.TOO_LONG
    if any(positions(case.words, reference) for reference in references):
        return FailureClass.TOO_SHORT
    return None
