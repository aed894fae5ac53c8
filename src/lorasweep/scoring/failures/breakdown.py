"""Where a run is right and wrong: its answers grouped, and set beside another run's."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lorasweep.data.examples import Example, Group
from lorasweep.folder.scores import Prediction
from lorasweep.scoring.failures.classes import FailureClass, classify
from lorasweep.scoring.failures.question_types import (
    AnswerType,
    QuestionKind,
    expected_type,
    kind_of,
)
from lorasweep.scoring.stats.clusters import Clusters
from lorasweep.scoring.stats.intervals import bootstrap_interval, within_marks
from lorasweep.study.sections import Unit

RIGHT = "right"
NO_SPAN = "no span"
ANSWER_WORDS = (1, 2, 3, 5, 10)
CONTEXT_WORDS = (50, 100, 150, 200, 300)
NUM_POSITIONS = 5
# Fewer draws than for a run's own scores: there are dozens of groups.
GROUP_DRAWS = 1000


class Aspect(StrEnum):
    """What answers are grouped by."""

    FAILURE = "failure"
    QUESTION_KIND = "question kind"
    EXPECTED_TYPE = "expected type"
    ANSWER_LENGTH = "answer length"
    CONTEXT_LENGTH = "context length"
    ANSWER_POSITION = "answer position"
    ARTICLE = "article"


@dataclass(frozen=True)
class Row:
    """A scored answer and what is known of its question; EM and F1 from 0 to 1.

    `failure` is None where the answer is right. `answer_words` counts the shortest reference's
    words, `context_words` the context's, parted by white space. `position` is the fifth of the
    context (1 to 5) in which the first reference that has a place begins; None where none has.
    """

    id: str
    article: str
    paragraph: str
    question: str
    prediction: str
    answers: tuple[str, ...]
    exact_match: float
    f1: float
    failure: FailureClass | None
    kind: QuestionKind
    expected: AnswerType
    answer_words: int
    context_words: int
    position: int | None


@dataclass(frozen=True)
class Slice:
    """The answers that share a value of an aspect; EM and F1 from 0 to 100.

    `f1_interval` is at the 95 % level by resampling paragraphs or articles; None where it cannot be
    had, as of one question.
    """

    value: str
    count: int
    exact_match: float
    f1: float
    f1_interval: tuple[float, float] | None


@dataclass(frozen=True)
class Changes:
    """What changes from run a to run b on the same questions.

    `became_right` are a's rows, with the failure that was mended; `became_wrong` are b's, with
    the failure that is new.
    """

    became_right: tuple[Row, ...]
    became_wrong: tuple[Row, ...]
    stayed_right: int
    stayed_wrong: int

    @property
    def mended(self) -> dict[FailureClass, int]:
        """How many answers became right, by the class of their failure before."""
        return _count_failures(self.became_right)

    @property
    def broken(self) -> dict[FailureClass, int]:
        """How many answers became wrong, by the class of their failure now."""
        return _count_failures(self.became_wrong)


def rows_of(predictions: Iterable[Prediction], paragraphs: Iterable[Group]) -> list[Row]:
    """Join predictions with their questions and classify the wrong ones, in their order.

    Raises ValueError for a prediction whose question is in no paragraph.
    """
    asked = {
        question.id: (question, paragraph)
        for paragraph in paragraphs
        for question in paragraph.examples
    }
    return [_row(prediction, asked) for prediction in predictions]


def breakdown(rows: Iterable[Row], by: Aspect, unit: Unit = "paragraph") -> list[Slice]:
    """Return the groups that have answers, in the order of the aspect's own values.

    `unit` is what intervals resample.
    """
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(_value(row, by), []).append(row)
    order = _order(by) or sorted(grouped)
    return [_group(value, grouped[value], unit) for value in order if value in grouped]


def differences(a_rows: Sequence[Row], b_rows: Sequence[Row]) -> Changes:
    """Return which answers became right and wrong from run a to run b, in a's order.

    Raises ValueError where the runs did not answer the same questions.
    """
    of_b = {row.id: row for row in b_rows}
    if of_b.keys() != {row.id for row in a_rows}:
        raise ValueError("the runs did not answer the same questions")
    pairs = [(a, of_b[a.id]) for a in a_rows]
    return Changes(
        became_right=tuple(a for a, b in pairs if a.failure and not b.failure),
        became_wrong=tuple(b for a, b in pairs if b.failure and not a.failure),
        stayed_right=sum(not a.failure and not b.failure for a, b in pairs),
        stayed_wrong=sum(bool(a.failure and b.failure) for a, b in pairs),
    )


def examples(rows: Iterable[Row], failure: FailureClass | None, n: int) -> list[Row]:
    """Return n rows of a class (None: right ones) whose question ids have the least SHA-256."""
    of_class = (row for row in rows if row.failure == failure)
    return sorted(of_class, key=lambda row: hashlib.sha256(row.id.encode()).hexdigest())[:n]


def _row(prediction: Prediction, asked: Mapping[str, tuple[Example, Group]]) -> Row:
    if prediction.id not in asked:
        raise ValueError(f"question {prediction.id!r} is in none of the paragraphs")
    question, paragraph = asked[prediction.id]
    is_right = prediction.scores["exact_match"] > 0
    answers = question.references
    return Row(
        id=prediction.id,
        article=prediction.article,
        paragraph=prediction.paragraph,
        question=str(question.prompt),
        prediction=prediction.prediction,
        answers=answers,
        exact_match=prediction.scores["exact_match"],
        f1=prediction.scores["f1"],
        failure=None if is_right else classify(
            prediction.prediction, prediction.ended, question, paragraph.context),
        kind=kind_of(str(question.prompt)),
        expected=expected_type(str(question.prompt)),
        answer_words=min(len(answer.split()) for answer in answers),
        context_words=len(paragraph.context.split()),
        position=_position(question, paragraph.context),
    )  # fmt: skip


def _position(question: Example, context: str) -> int | None:
    starts = (start for start in question.starts if start >= 0)
    start = next(starts, None)
    return None if start is None else 1 + NUM_POSITIONS * start // len(context)


def _value(row: Row, by: Aspect) -> str:
    values = {
        Aspect.FAILURE: row.failure or RIGHT,
        Aspect.QUESTION_KIND: row.kind,
        Aspect.EXPECTED_TYPE: row.expected,
        Aspect.ANSWER_LENGTH: _bin(row.answer_words, ANSWER_WORDS),
        Aspect.CONTEXT_LENGTH: _bin(row.context_words, CONTEXT_WORDS),
        Aspect.ANSWER_POSITION: _position_name(row.position),
        Aspect.ARTICLE: row.article,
    }
    return str(values[by])


def _order(by: Aspect) -> list[str]:
    """Return all values of an aspect in order; none for articles, which are sorted by name."""
    positions = [_position_name(fifth) for fifth in range(1, NUM_POSITIONS + 1)]
    orders: dict[Aspect, Iterable[str]] = {
        Aspect.FAILURE: [RIGHT, *FailureClass],
        Aspect.QUESTION_KIND: QuestionKind,
        Aspect.EXPECTED_TYPE: AnswerType,
        Aspect.ANSWER_LENGTH: _bin_names(ANSWER_WORDS),
        Aspect.CONTEXT_LENGTH: _bin_names(CONTEXT_WORDS),
        Aspect.ANSWER_POSITION: [*positions, NO_SPAN],
    }
    return [str(value) for value in orders.get(by, ())]


def _bin(number: int, ends: Sequence[int]) -> str:
    index = sum(number > end for end in ends)
    return list(_bin_names(ends))[index]


def _bin_names(ends: Sequence[int]) -> Iterator[str]:
    """Yield "1 to 50", "51 to 100", ..., "301 or more" for the last numbers of the bins."""
    first = 1
    for last in ends:
        yield str(last) if first == last else f"{first} to {last}"
        first = last + 1
    yield f"{first} or more"


def _position_name(fifth: int | None) -> str:
    if fifth is None:
        return NO_SPAN
    width = 100 // NUM_POSITIONS
    return f"{width * (fifth - 1)} to {width * fifth} %"


def _group(value: str, rows: Sequence[Row], unit: Unit) -> Slice:
    clusters = Clusters.of([getattr(row, unit) for row in rows])
    found = bootstrap_interval([100 * row.f1 for row in rows], clusters, draws=GROUP_DRAWS)
    ends = within_marks(found, clusters)
    return Slice(
        value=value,
        count=len(rows),
        exact_match=100 * sum(row.exact_match for row in rows) / len(rows),
        f1=found.mean,
        f1_interval=None if ends.low is None or ends.high is None else (ends.low, ends.high),
    )


def _count_failures(rows: Iterable[Row]) -> dict[FailureClass, int]:
    counts = Counter(row.failure for row in rows)
    return {failure: counts[failure] for failure in FailureClass if counts[failure]}
