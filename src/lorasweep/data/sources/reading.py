"""Where examples come from: files, the Hub, the bundled corpora."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from lorasweep.data.corpus.bundled import bundled_file, is_named
from lorasweep.data.sources.files import (
    JSON,
    SUFFIXES,
    PlacedRow,
    read_file,
    stem_of,
    suffix_of,
)
from lorasweep.data.sources.hub import HUB, PREFIX, hub_rows
from lorasweep.errors import UserError, nearest

KINDS = (
    '"bundled", "hub:OWNER/NAME:SPLIT", "hub:OWNER/NAME:CONFIG:SPLIT", "bundled:NAME", '
    "or a .json, .jsonl, .csv, .tsv or .parquet file (docs/data.md has their forms)"
)
BUNDLED = "bundled"


@dataclass(frozen=True, slots=True)
class Found:
    """What one file or Hub set holds: rows, or an object, such as SQuAD's nested form.

    `place` is what messages call it; `stem` names rows and groups that have no name of their own.
    """

    place: str
    stem: str
    held: list[PlacedRow] | dict[str, Any]


def read(source: str, names: Sequence[str] = ()) -> Iterator[Found]:
    """Read what a source holds: the bundled questions are several files, any other source is one.

    `names` are the columns of tables without a header. Raises UserError that names the source
    for whatever cannot be read.
    """
    if source == BUNDLED or is_named(source):
        for file in _bundled(source):
            yield _of_file(file, f"bundled {file.name}")
    elif source.startswith(PREFIX):
        yield _of_hub(source)
    else:
        path = _path_of(source)
        if suffix_of(path.name) not in SUFFIXES:
            raise UserError(f"data source {source!r} is none of {KINDS}{_folder_hint(path)}")
        _refuse_missing(path, source)
        yield _of_file(path, source, names)


def is_local(source: str) -> bool:
    """Say whether a source is on this machine as a file, and needs no client of the Hub."""
    return not source.startswith(PREFIX)


def refuse_a_source_twice(sources: Sequence[str]) -> None:
    """Raise UserError where two sources are one."""
    places = [_path_of(source).absolute() if is_local(source) else source for source in sources]
    for source, place in zip(sources, places, strict=True):
        if places.count(place) > 1:
            raise UserError(f"data source {source!r} is named twice")


def _of_file(file: Traversable, place: str, names: Sequence[str] = ()) -> Found:
    return Found(place, stem_of(file.name), read_file(file, place, names))


def _of_hub(source: str) -> Found:
    matched = HUB.fullmatch(source)
    if matched is None:
        raise UserError(f"data source {source!r} is none of {KINDS}")
    found = hub_rows(source, matched["name"], matched["config"], matched["split"])
    rows = [(number, f"{source}: row {number}", row) for number, row in enumerate(found)]
    return Found(source, Path(matched["name"]).name, rows)


def _bundled(source: str) -> list[Traversable]:
    """Return the files of the bundled questions, or the one of another corpus by its name."""
    if is_named(source):
        return [bundled_file(source)]
    folder = resources.files("lorasweep.data") / "corpus"
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return [file for file in files if suffix_of(file.name) == JSON]


def _path_of(source: str) -> Path:
    try:
        return Path(source).expanduser()
    except RuntimeError as error:
        raise UserError(f"data source {source!r}: {error}") from None


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
