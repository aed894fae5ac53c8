"""Two forms of question: SQuAD's nested JSON, and rows (a line of .jsonl, a row of a Hub set).

Both become paragraphs that still hold their unanswerable questions, with no answers.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from lorasweep.data.squad.dataset import Answer, Paragraph, Question
from lorasweep.errors import UserError

Id = Annotated[str, Field(min_length=1, coerce_numbers_to_str=True)]


class SquadAnswer(BaseModel):
    """An answer as SQuAD's files write it."""

    text: str
    answer_start: int


class SquadQuestion(BaseModel):
    """A question of v1.1, or of v2.0, where it may be impossible."""

    id: Id
    question: str
    answers: list[SquadAnswer]
    is_impossible: bool = False


class SquadParagraph(BaseModel):
    """A context and its questions as SQuAD's files write them."""

    context: str
    qas: list[SquadQuestion]


class SquadArticle(BaseModel):
    """An article; without a title it goes by the name of its file."""

    title: str | None = None
    paragraphs: list[SquadParagraph]


class SquadFile(BaseModel):
    """A whole file of SQuAD v1.1 or v2.0; further keys are ignored."""

    data: list[SquadArticle]


class RowAnswers(BaseModel):
    """The answers of one row, in the Hub's form."""

    text: list[str]
    answer_start: list[int] | None = None

    @model_validator(mode="after")
    def _as_many_starts_as_texts(self) -> Self:
        if self.answer_start is not None and len(self.answer_start) != len(self.text):
            raise ValueError(f"{len(self.text)} text but {len(self.answer_start)} answer_start")
        return self


def _as_row_answers(value: Any) -> Any:
    if isinstance(value, str):
        return {"text": [value]}
    return {"text": value} if isinstance(value, list) else value


class Row(BaseModel):
    """A line of a .jsonl file or a row of a Hub data set."""

    context: str
    question: str
    answers: Annotated[RowAnswers, BeforeValidator(_as_row_answers)]
    id: Id | None = None
    title: str | None = None


Schema = TypeVar("Schema", SquadFile, Row)


def parse(schema: type[Schema], value: str | dict[str, Any], place: str) -> Schema:
    """Check JSON text or a decoded object against a schema; the first error names its place."""
    try:
        if isinstance(value, str):
            return schema.model_validate_json(value)
        return schema.model_validate(value)
    except ValidationError as error:
        raise UserError(f"{place}: {_explain(error.errors()[0])}") from None


def paragraphs_of_file(file: SquadFile, place: str, untitled: str) -> Iterator[Paragraph]:
    """Turn a SQuAD file's paragraphs into ours; `untitled` names an article without a title.

    Some files repeat the context for each question: equal ones of a title are one paragraph.
    """
    return _grouped(
        (article.title or untitled, paragraph.context, _squad_question(q, paragraph.context, place))
        for article in file.data
        for paragraph in article.paragraphs
        for q in paragraph.qas
    )


def paragraphs_of_rows(rows: Iterable[tuple[int, str, Row]], untitled: str) -> Iterator[Paragraph]:
    """Group rows (number, place, row) with equal title and context into paragraphs.

    A row without an id gets one made of `untitled` and its number.
    """
    return _grouped(
        (
            row.title or untitled,
            row.context,
            _row_question(row, row.id or f"{untitled}-{number}", place),
        )
        for number, place, row in rows
    )


def _grouped(asked: Iterable[tuple[str, str, Question]]) -> Iterator[Paragraph]:
    """Yield the paragraphs of questions (title, context, question), in their first order."""
    grouped: dict[tuple[str, str], list[Question]] = {}
    for title, context, question in asked:
        grouped.setdefault((title, context), []).append(question)
    indices: Counter[str] = Counter()
    for (title, context), questions in grouped.items():
        yield _paragraph(title, indices[title], context, questions)
        indices[title] += 1


def _paragraph(title: str, index: int, context: str, questions: list[Question]) -> Paragraph:
    # "#" parts a question drawn alone from its paragraph, so an id must not bring its own
    return Paragraph(f"{title.replace('#', '%23')}/{index}", title, context, tuple(questions))


def _squad_question(question: SquadQuestion, context: str, place: str) -> Question:
    spans = [] if question.is_impossible else question.answers
    where = f"{place}: question {question.id!r}"
    answers = [_answer(span.text, span.answer_start, context, where) for span in spans]
    return Question(question.id, question.question, tuple(answers))


def _row_question(row: Row, question_id: str, place: str) -> Question:
    starts: Sequence[int | None] = row.answers.answer_start or [None] * len(row.answers.text)
    where = f"{place}: question {question_id!r}"
    answers = [
        _answer(text, start, row.context, where)
        for text, start in zip(row.answers.text, starts, strict=True)
    ]
    return Question(question_id, row.question, tuple(answers))


def _answer(text: str, start: int | None, context: str, where: str) -> Answer:
    if not text.strip():
        raise UserError(f"{where}: an answer is empty; no answer at all is an empty list")
    if start is None:
        return Answer(text, context.find(text))
    if start < 0 or not context.startswith(text, start):
        raise UserError(f"{where}: {_mismatch(text, start, context)}")
    return Answer(text, start)


def _mismatch(text: str, start: int, context: str) -> str:
    there = repr(context[start : start + len(text)]) if start >= 0 else "nothing"
    found = [match.start() for match in re.finditer(re.escape(text), context)]
    nearest_start = min(found, key=lambda offset: abs(offset - start), default=None)
    right = f"it starts at {nearest_start}" if found else "the context does not hold it"
    return f"answer_start {start} does not match {text!r}: {there} stands there; {right}"


def _explain(error: ErrorDetails) -> str:
    """Return one line for one schema error: where, and what is missing or wrong."""
    if error["type"] == "missing":
        *parents, key = error["loc"]
        found = ", ".join(map(str, error["input"])) or "nothing"
        return f"{_path(parents)}{key!r} is missing (found: {found})"
    return f"{_path(error['loc'])}{error['msg'].removeprefix('Value error, ')}"


def _path(keys: Iterable[int | str]) -> str:
    path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return f"{path.removeprefix('.')}: " if path else ""
