"""Two forms of question: SQuAD's nested JSON, and rows (a line, a row of a table or a Hub set).

Both become paragraphs that still hold their unanswerable questions, with no answers.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError, model_validator

from lorasweep.data.examples import Example, Group
from lorasweep.data.squad.answers import read_answers
from lorasweep.data.squad.fields import Flag, Id, OptionalId, QuestionText, Text, Title
from lorasweep.data.squad.mistakes import explain, refuse_near_flag
from lorasweep.data.squad.offsets import Offsets
from lorasweep.errors import UserError


class OnText(BaseModel):
    """What stands on a text, which both forms call a context."""

    context: Text


class Asked(BaseModel):
    """What a question has in both forms; further keys, plausible_answers among them, are ignored.

    An impossible question has no answer, whatever stands in answers.
    """

    question: QuestionText
    answers: Any
    is_impossible: Flag = False

    @model_validator(mode="before")
    @classmethod
    def _guid_is_an_id(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        refuse_near_flag(value)
        return value if "guid" not in value or value.get("id") else value | {"id": value["guid"]}


class SquadQuestion(Asked):
    """A question of v1.1, or of v2.0, where it may be impossible."""

    id: Id


class SquadParagraph(OnText):
    """A context and its questions as SQuAD's files write them."""

    qas: list[SquadQuestion]


class SquadArticle(BaseModel):
    """An article; without a title it goes by the name of its file."""

    title: Title = None
    paragraphs: list[SquadParagraph]


class SquadFile(BaseModel):
    """A whole file of SQuAD v1.1 or v2.0; further keys are ignored."""

    data: list[SquadArticle]


class Row(Asked, OnText):
    """A line of a .jsonl file, a row of a table or of a Hub data set."""

    id: OptionalId = None
    title: Title = None


Schema = TypeVar("Schema", SquadFile, Row)


def parse(schema: type[Schema], value: Any, place: str) -> Schema:
    """Check a decoded value against a schema; the first error names its place."""
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        raise UserError(f"{place}: {explain(error.errors()[0], value)}") from None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a paragraph stands: the title it is grouped by, its article, and its untitled file."""

    title: str
    article: str
    file: str


def paragraphs_of_file(file: SquadFile, place: str, untitled: str) -> Iterator[Group]:
    """Turn a SQuAD file's paragraphs into ours.

    An entry without a title is an article of its own: the file's name, `untitled`, with its number
    where there are several. Some files repeat the context for each question: equal ones of a title
    are one paragraph. Raises UserError for answers that do not stand where they should.
    """
    offsets = Offsets()
    number_untitled = sum(not article.title for article in file.data) > 1
    asked = [
        (where, paragraph.context, _question(q, q.id, paragraph.context, place, offsets))
        for number, article in enumerate(file.data)
        for where in [_place(article.title, untitled, number if number_untitled else None)]
        for paragraph in article.paragraphs
        for q in paragraph.qas
    ]
    offsets.refuse_wrong()
    return _grouped(asked)


def paragraphs_of_rows(rows: Iterable[tuple[int, str, Row]], untitled: str) -> Iterator[Group]:
    """Group rows (number, place, row) with equal title and context into paragraphs.

    A row without an id gets one made of `untitled` and its number, and `untitled` is the article of
    rows without a title. Raises UserError for answers that do not stand where they should.
    """
    offsets = Offsets()
    asked = [
        (
            _place(row.title, untitled),
            row.context,
            _question(row, row.id or f"{untitled}-{number}", row.context, place, offsets),
        )
        for number, place, row in rows
    ]
    offsets.refuse_wrong()
    return _grouped(asked)


def _place(title: str | None, untitled: str, number: int | None = None) -> _Place:
    if title:
        return _Place(title, title, "")
    return _Place(untitled, untitled if number is None else f"{untitled}/{number}", untitled)


def _grouped(asked: Iterable[tuple[_Place, str, Example]]) -> Iterator[Group]:
    """Yield the paragraphs of questions (place, context, question), in their first order."""
    grouped: dict[tuple[str, str], list[Example]] = {}
    places: dict[tuple[str, str], _Place] = {}
    for place, context, question in asked:
        grouped.setdefault((place.title, context), []).append(question)
        places.setdefault((place.title, context), place)
    indices: Counter[str] = Counter()
    for (title, context), questions in grouped.items():
        # "#" parts a question drawn alone from its paragraph, so an id must not bring its own
        paragraph_id = f"{title.replace('#', '%23')}/{indices[title]}"
        place = places[title, context]
        yield Group(paragraph_id, place.article, context, tuple(questions), place.file)
        indices[title] += 1


def _question(
    asked: Asked, question_id: str, context: str, place: str, offsets: Offsets
) -> Example:
    where = f"{place}: question {question_id!r}"
    try:
        written = [] if asked.is_impossible else read_answers(asked.answers, context)
    except ValueError as error:
        # a row is its own place; a file's question is named
        raise UserError(f"{place if isinstance(asked, Row) else where}: {error}") from None
    starts = tuple(offsets.start(text, start, context, where) for text, start in written)
    return Example(question_id, asked.question, tuple(text for text, _ in written), starts)
