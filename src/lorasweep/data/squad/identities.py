"""Ids that stand for one thing each: sources with their paragraphs come in; unique ids go out."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lorasweep.data.examples import Group
from lorasweep.data.sources.files import SUFFIXES, stem_of, suffix_of
from lorasweep.errors import UserError

# A source and its paragraphs.
Read = tuple[str, list[Group]]


def with_unique_questions(read: Sequence[Read]) -> list[Group]:
    """Return all paragraphs; question ids that several files have get their file's name in front.

    Translations share ids by design, and many sets number from 1. Raises UserError for an id that
    occurs twice in one file.
    """
    ids = [_ids_of(source, paragraphs) for source, paragraphs in read]
    counts = Counter(question_id for found in ids for question_id in found)
    names = _names_of([source for source, _ in read])
    told_apart = [
        _renamed(paragraph, name, counts)
        for name, (_, paragraphs) in zip(names, read, strict=True)
        for paragraph in paragraphs
    ]
    _ids_of(", ".join(source for source, _ in read), told_apart)
    return told_apart


def with_unique_ids(paragraphs: Sequence[Group]) -> Iterator[Group]:
    """Tell paragraphs of equal title and index apart by a question, whatever the files' order."""
    counts = Counter(paragraph.id for paragraph in paragraphs)
    for paragraph in paragraphs:
        if counts[paragraph.id] == 1:
            yield paragraph
        else:
            mark = paragraph.examples[0].id.replace("#", "%23")
            yield replace(paragraph, id=f"{paragraph.id}@{mark}")


def _ids_of(source: str, paragraphs: Iterable[Group]) -> set[str]:
    """Return the question ids of a source, where each stands for one question."""
    first: dict[str, str] = {}
    for paragraph in paragraphs:
        for question in paragraph.examples:
            if question.id in first:
                raise UserError(
                    f"{source} ({paragraph.id}): question id {question.id!r} occurs twice; "
                    f"first in {first[question.id]}"
                )
            first[question.id] = paragraph.id
    return set(first)


def _names_of(sources: Sequence[str]) -> list[str]:
    """Return what sources are told apart by: the names of files, or what the study calls them."""
    names = [
        stem_of(Path(source).name) if suffix_of(source) in SUFFIXES else source
        for source in sources
    ]
    return names if len(set(names)) == len(names) else list(sources)


def _renamed(paragraph: Group, name: str, counts: Counter[str]) -> Group:
    questions = tuple(
        replace(q, id=f"{name}/{q.id}") if counts[q.id] > 1 else q for q in paragraph.examples
    )
    return replace(paragraph, examples=questions)
