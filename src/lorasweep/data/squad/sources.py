"""Where questions come from: files, the Hub, the bundled corpus."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from lorasweep.data.squad.dataset import Dataset, Paragraph
from lorasweep.data.squad.formats import (
    Row,
    SquadFile,
    paragraphs_of_file,
    paragraphs_of_rows,
    parse,
)
from lorasweep.errors import UserError, nearest

KINDS = (
    '"bundled", "hub:OWNER/NAME:SPLIT", "hub:OWNER/NAME:CONFIG:SPLIT", '
    "a .json file in SQuAD's format or a .jsonl file"
)
# the split may be a slice, with a colon of its own: train[:100]
HUB = re.compile(r"hub:(?P<name>[^:]+):((?P<config>[^:[]+):)?(?P<split>[^:[]+(\[[^]]*\])?)")
OFFLINE = (
    "to work without a network, set HF_HUB_OFFLINE=1 with the set in the cache, or name a local "
    "folder (hub:FOLDER:SPLIT) or SQuAD JSON files"
)


def load(sources: Sequence[str]) -> Dataset:
    """Read all sources into one data set, in their order; KINDS says what a source may be.

    Unanswerable questions are counted and left out. Raises UserError that names the source and
    the place for whatever cannot be read, does not fit its context or occurs twice.
    """
    asked: list[Paragraph] = []
    origins: dict[str, str] = {}
    for source in sources:
        paragraphs = _read(source)
        _refuse_repeated_ids(paragraphs, source, origins)
        asked += paragraphs
    kept = [answerable for paragraph in asked if (answerable := _answerable(paragraph)).questions]
    unanswerable = (q.id for paragraph in asked for q in paragraph.questions if not q.answers)
    return Dataset(tuple(sources), tuple(_with_unique_ids(kept)), frozenset(unanswerable))


def _read(source: str) -> list[Paragraph]:
    """Read one source, which must hold an answerable question."""
    paragraphs = list(_read_kind(source))
    if not any(_answerable(paragraph).questions for paragraph in paragraphs):
        num_unanswerable = _num_questions(paragraphs)
        raise UserError(f"{source}: no answerable question ({num_unanswerable} unanswerable)")
    return paragraphs


def _read_kind(source: str) -> Iterable[Paragraph]:
    if source == "bundled":
        return _read_bundled()
    if source.startswith("hub:"):
        return _read_hub(source)
    path = Path(source)
    if path.suffix not in (".json", ".jsonl"):
        raise UserError(f"data source {source!r} is none of {KINDS}")
    if not path.is_file():
        raise UserError(f"no file {source}{_nearest_file(path)}")
    return _read_squad(path, source) if path.suffix == ".json" else _read_rows(path)


def _read_bundled() -> Iterator[Paragraph]:
    folder = resources.files("lorasweep.data") / "corpus"
    files = [file for file in folder.iterdir() if file.name.endswith(".json")]
    for file in sorted(files, key=lambda file: file.name):
        yield from _read_squad(file, f"bundled {file.name}")


def _read_squad(file: Traversable, place: str) -> Iterator[Paragraph]:
    stem = file.name.removesuffix(".json")
    return paragraphs_of_file(parse(SquadFile, _text(file, place), place), place, stem)


def _read_rows(path: Path) -> Iterator[Paragraph]:
    lines = enumerate(_text(path, str(path)).split("\n"), start=1)
    places = ((number, f"{path}:{number}", line) for number, line in lines if line.strip())
    rows = ((number, place, parse(Row, line, place)) for number, place, line in places)
    return paragraphs_of_rows(rows, path.stem)


def _read_hub(source: str) -> Iterator[Paragraph]:
    matched = HUB.fullmatch(source)
    if matched is None:
        raise UserError(f"data source {source!r} is none of {KINDS}")
    name, config, split = matched["name"], matched["config"], matched["split"]
    places = (
        (number, f"{source}: row {number}", row)
        for number, row in enumerate(_hub_rows(source, name, config, split))
    )
    rows = ((number, place, parse(Row, row, place)) for number, place, row in places)
    return paragraphs_of_rows(rows, Path(name).name)


def _hub_rows(source: str, name: str, config: str | None, split: str) -> Iterable[dict[str, Any]]:
    """Load a split of a Hub data set or of a local folder laid out as one."""
    import datasets

    try:
        rows: Iterable[dict[str, Any]] = datasets.load_dataset(name, config, split=split)
    except ConnectionError as error:
        raise UserError(f"{source}: {error}; {OFFLINE}") from None
    except Exception as error:  # the client lets its transport's own errors through
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{source}: {reason}") from None
    return rows


def _text(file: Traversable, place: str) -> str:
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{place}: not a text file in UTF-8") from None
    if not text.strip():
        raise UserError(f"{place}: the file is empty")
    return text


def _nearest_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f"; there is no folder {path.parent}"
    names = [file.name for file in path.parent.iterdir() if file.suffix in (".json", ".jsonl")]
    return nearest(path.name, names)


def _refuse_repeated_ids(
    paragraphs: Iterable[Paragraph], source: str, origins: dict[str, str]
) -> None:
    """Enter each question's place in `origins`; a question id stands for one question."""
    for paragraph in paragraphs:
        place = f"{source} ({paragraph.id})"
        for question in paragraph.questions:
            if question.id in origins:
                raise UserError(
                    f"{place}: question id {question.id!r} occurs twice; "
                    f"first in {origins[question.id]}"
                )
            origins[question.id] = place


def _answerable(paragraph: Paragraph) -> Paragraph:
    questions = tuple(question for question in paragraph.questions if question.answers)
    return replace(paragraph, questions=questions)


def _num_questions(paragraphs: Iterable[Paragraph]) -> int:
    return sum(len(paragraph.questions) for paragraph in paragraphs)


def _with_unique_ids(paragraphs: Sequence[Paragraph]) -> Iterator[Paragraph]:
    """Tell paragraphs of equal title and index apart by a question, whatever the files' order."""
    counts = Counter(paragraph.id for paragraph in paragraphs)
    for paragraph in paragraphs:
        if counts[paragraph.id] == 1:
            yield paragraph
        else:
            mark = paragraph.questions[0].id.replace("#", "%23")
            yield replace(paragraph, id=f"{paragraph.id}@{mark}")
