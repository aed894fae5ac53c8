"""Questions of files, of the Hub and of the bundled corpus, as one data set."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lorasweep.data.examples import Dataset, Example, Group
from lorasweep.data.sources.files import PlacedRow
from lorasweep.data.sources.reading import Found, read, refuse_a_source_twice
from lorasweep.data.squad.formats import (
    Row,
    SquadFile,
    paragraphs_of_file,
    paragraphs_of_rows,
    parse,
)
from lorasweep.data.squad.identities import with_unique_ids, with_unique_questions
from lorasweep.errors import UserError


@dataclass(frozen=True, slots=True)
class Reading:
    """How questions are read: what rows call their columns, and what teaches the unanswerable.

    `renamed` maps our names to a file's, `names` are the columns of a table without a header.
    `null_answer` is what is learned for a question without an answer; None leaves these out.
    """

    renamed: Mapping[str, str] = field(default_factory=dict)
    names: Sequence[str] = ()
    null_answer: str | None = None


def load(sources: Sequence[str], reading: Reading = Reading()) -> Dataset:
    """Read all sources into one data set, in their order; `reading.KINDS` says what one may be.

    Unanswerable questions are counted and left out, or learned. Raises UserError that names the
    source and the place for whatever cannot be read, does not fit its context or occurs twice.
    """
    refuse_a_source_twice(sources)
    asked = with_unique_questions([(source, _read(source, reading)) for source in sources])
    taught = [_taught(paragraph, reading.null_answer) for paragraph in asked]
    kept = [learned for paragraph in taught if (learned := _learnable(paragraph)).examples]
    ids = {question.id for paragraph in kept for question in paragraph.examples}
    left_out = (q.id for paragraph in asked for q in paragraph.examples if q.id not in ids)
    return Dataset(tuple(sources), tuple(with_unique_ids(kept)), frozenset(left_out))


def _read(source: str, reading: Reading) -> list[Group]:
    """Read one source, which must hold an answerable question."""
    found = read(source, reading.names)
    paragraphs = [p for each in found for p in _paragraphs(each, reading.renamed)]
    num_unanswerable = sum(len(paragraph.examples) for paragraph in paragraphs)
    leaves_out = reading.null_answer is None
    if not any(q.references or not leaves_out for p in paragraphs for q in p.examples):
        raise UserError(f"{source}: no answerable question ({num_unanswerable} unanswerable)")
    return paragraphs


def _paragraphs(found: Found, renamed: Mapping[str, str]) -> Iterator[Group]:
    if not isinstance(found.held, list):
        squad = parse(SquadFile, found.held, found.place)
        return paragraphs_of_file(squad, found.place, found.stem)
    return paragraphs_of_rows(_rows(found.held, renamed), found.stem)


def _rows(found: Iterable[PlacedRow], renamed: Mapping[str, str]) -> Iterator[tuple[int, str, Row]]:
    for number, place, row in found:
        yield number, place, parse(Row, _renamed(row, renamed), place)


def _renamed(row: Any, renamed: Mapping[str, str]) -> Any:
    if not renamed or not isinstance(row, dict):
        return row
    return row | {ours: row[theirs] for ours, theirs in renamed.items() if theirs in row}


def _taught(paragraph: Group, null_answer: str | None) -> Group:
    """Return a paragraph whose unanswerable questions are answered by the null answer, if any."""
    if null_answer is None:
        return paragraph
    questions = tuple(
        question if question.references else replace(question, answer=f" {null_answer}")
        for question in paragraph.examples
    )
    return replace(paragraph, examples=questions)


def _learnable(paragraph: Group) -> Group:
    questions = tuple(question for question in paragraph.examples if _is_learnable(question))
    return replace(paragraph, examples=questions)


def _is_learnable(question: Example) -> bool:
    return bool(question.references or question.answer)
