"""Where questions come from: files, the Hub, the bundled corpus."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from lorasweep.data.corpus.bundled import bundled_file, is_named
from lorasweep.data.examples import Dataset, Group
from lorasweep.data.squad.files import (
    JSON,
    SUFFIXES,
    TABLES,
    PlacedRow,
    read_json_file,
    read_lines_file,
    read_table,
    stem_of,
    suffix_of,
)
from lorasweep.data.squad.formats import (
    Row,
    SquadFile,
    paragraphs_of_file,
    paragraphs_of_rows,
    parse,
)
from lorasweep.data.squad.identities import with_unique_ids, with_unique_questions
from lorasweep.errors import UserError, nearest

KINDS = (
    '"bundled", "hub:OWNER/NAME:SPLIT", "hub:OWNER/NAME:CONFIG:SPLIT", "bundled:NAME", '
    "or a .json, .jsonl, .csv, .tsv or .parquet file (docs/data.md has their forms)"
)
# the split may be a slice, with a colon of its own: train[:100]
HUB = re.compile(r"hub:(?P<name>[^:]+):((?P<config>[^:[]+):)?(?P<split>[^:[]+(\[[^]]*\])?)")
OFFLINE = (
    "to work without a network, set HF_HUB_OFFLINE=1 with the set in the cache, or name a local "
    "folder (hub:FOLDER:SPLIT) or files"
)


def load(sources: Sequence[str], keep_unanswerable: bool = False) -> Dataset:
    """Read all sources into one data set, in their order; KINDS says what a source may be.

    Unanswerable questions are counted and left out, unless they are to be kept, without references.
    Raises UserError that names the source and the place for whatever cannot be read, does not fit
    its context or occurs twice.
    """
    _refuse_a_source_twice(sources)
    read = [(source, _read(source, keep_unanswerable)) for source in sources]
    asked = with_unique_questions(read)
    if keep_unanswerable:
        return Dataset(tuple(sources), tuple(with_unique_ids(asked)))
    kept = [answerable for paragraph in asked if (answerable := _answerable(paragraph)).examples]
    unanswerable = (q.id for paragraph in asked for q in paragraph.examples if not q.references)
    return Dataset(tuple(sources), tuple(with_unique_ids(kept)), frozenset(unanswerable))


def is_local(source: str) -> bool:
    """Say whether a source is on this machine as a file, and needs no client of the Hub."""
    return not source.startswith("hub:")


def _read(source: str, keep_unanswerable: bool) -> list[Group]:
    """Read one source, which must hold a question that is kept."""
    paragraphs = list(_read_kind(source))
    kept = paragraphs if keep_unanswerable else map(_answerable, paragraphs)
    if not any(paragraph.examples for paragraph in kept):
        num_unanswerable = _num_questions(paragraphs)
        raise UserError(f"{source}: no answerable question ({num_unanswerable} unanswerable)")
    return paragraphs


def _read_kind(source: str) -> Iterable[Group]:
    if source == "bundled":
        return _read_bundled()
    if source.startswith("hub:"):
        return _read_hub(source)
    path = bundled_file(source) if is_named(source) else _path_of(source)
    suffix = suffix_of(path.name)
    if suffix not in SUFFIXES:
        raise UserError(f"data source {source!r} is none of {KINDS}{_folder_hint(path)}")
    _refuse_missing(path, source)
    if suffix == JSON:
        return _read_squad(path, source)
    rows = read_table(path, source) if suffix in TABLES else read_lines_file(path, source)
    return _of_rows(rows, stem_of(path.name))


def _path_of(source: str) -> Path:
    try:
        return Path(source).expanduser()
    except RuntimeError as error:
        raise UserError(f"data source {source!r}: {error}") from None


def _read_bundled() -> Iterator[Group]:
    folder = resources.files("lorasweep.data") / "corpus"
    files = [file for file in folder.iterdir() if file.name.endswith(".json")]
    for file in sorted(files, key=lambda file: file.name):
        yield from _read_squad(file, f"bundled {file.name}")


def _read_squad(file: Traversable, place: str) -> Iterator[Group]:
    stem, found = stem_of(file.name), read_json_file(file, place)
    if isinstance(found, list):
        return _of_rows(found, stem)
    return paragraphs_of_file(parse(SquadFile, found, place), place, stem)


def _of_rows(found: Iterable[PlacedRow], untitled: str) -> Iterator[Group]:
    rows = ((number, place, parse(Row, row, place)) for number, place, row in found)
    return paragraphs_of_rows(rows, untitled)


def _read_hub(source: str) -> Iterator[Group]:
    matched = HUB.fullmatch(source)
    if matched is None:
        raise UserError(f"data source {source!r} is none of {KINDS}")
    name, config, split = matched["name"], matched["config"], matched["split"]
    found = (
        (number, f"{source}: row {number}", row)
        for number, row in enumerate(_hub_rows(source, name, config, split))
    )
    return _of_rows(found, Path(name).name)


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


def _refuse_missing(path: Path, source: str) -> None:
    try:
        if path.is_file():
            return
    except OSError as error:
        raise UserError(f"data source {source[:80]!r}: {error.strerror}") from None
    looked = "" if path.is_absolute() else f" (looked for in {Path.cwd()})"
    raise UserError(f"no file {source}{_nearest_file(path)}{looked}{_folder_hint(path)}")


def _folder_hint(path: Path) -> str:
    return f"; a folder is read as hub:{path}:SPLIT" if path.is_dir() else ""


def _nearest_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f"; there is no folder {path.parent}"
    names = [file.name for file in path.parent.iterdir() if suffix_of(file.name) in SUFFIXES]
    return nearest(path.name, names)


def _refuse_a_source_twice(sources: Sequence[str]) -> None:
    places = [_path_of(source).absolute() if is_local(source) else source for source in sources]
    for source, place in zip(sources, places, strict=True):
        if places.count(place) > 1:
            raise UserError(f"data source {source!r} is named twice")


def _answerable(paragraph: Group) -> Group:
    questions = tuple(question for question in paragraph.examples if question.references)
    return replace(paragraph, examples=questions)


def _num_questions(paragraphs: Iterable[Group]) -> int:
    return sum(len(paragraph.examples) for paragraph in paragraphs)
