"""Files on this machine: JSON, lines of JSON, tables come in; decoded rows or an object go out."""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from lorasweep.data.sources.encodings import likely_encoding
from lorasweep.data.sources.json_text import decode_json
from lorasweep.data.sources.tables import csv_rows, parquet_rows
from lorasweep.errors import UserError

JSON, LINES, PARQUET = ".json", ".jsonl", ".parquet"
DELIMITERS = {".csv": ",", ".tsv": "\t"}
SUFFIXES = (JSON, LINES, *DELIMITERS, PARQUET)
# A row with its number and its place for messages.
PlacedRow = tuple[int, str, Any]


def suffix_of(name: str) -> str:
    """Return the suffix that says what a file is, in small letters, without .gz."""
    return Path(name.lower().removesuffix(".gz")).suffix


def stem_of(name: str) -> str:
    """Return a file's name without what `suffix_of` looks at."""
    return Path(name[:-3] if name.lower().endswith(".gz") else name).stem


def read_file(
    file: Traversable, place: str, names: Sequence[str] = ()
) -> dict[str, Any] | list[PlacedRow]:
    """Return a file's rows, or the object that a .json file holds.

    `names` are the columns of a table without a header; an empty cell is None.
    """
    suffix = suffix_of(file.name)
    if suffix == JSON:
        return _json(file, place)
    if suffix == LINES:
        return _json_lines(file, place)
    if suffix == PARQUET:
        rows = parquet_rows(_bytes(file, place), place)
    else:
        rows = csv_rows(_text(file, place), DELIMITERS[suffix], place, names)
    return list(_entries(rows, place))


def _json(file: Traversable, place: str) -> dict[str, Any] | list[PlacedRow]:
    """Return the object of a .json file, or its rows where it is a list, or holds lines of them."""
    text = _text(file, place)
    try:
        value = decode_json(text, place)
    except ValueError as error:
        if _begins_with_a_line_of_json(text, place):
            return list(_lines(text, place))
        raise UserError(f"{place}: Invalid JSON: {error}") from None
    if isinstance(value, dict) and "context" in value and "data" not in value:
        return [(1, f"{place}:1", value)]
    return list(_entries(value, place)) if isinstance(value, list) else value


def _json_lines(file: Traversable, place: str) -> list[PlacedRow]:
    """Return the rows of a .jsonl file, which may be one list of them."""
    text = _text(file, place)
    if not text.lstrip().startswith("["):
        return list(_lines(text, place))
    try:
        return list(_entries(decode_json(text, place), place))
    except ValueError as error:
        raise UserError(
            f"{place}: Invalid JSON: {error}; a .jsonl file has one object a line"
        ) from None


def _entries(values: Sequence[Any], place: str) -> Iterator[PlacedRow]:
    for number, value in enumerate(values, start=1):
        yield number, f"{place}: row {number}", value


def _lines(text: str, place: str) -> Iterator[PlacedRow]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{place}:{number}"
        try:
            yield number, where, decode_json(line, where)
        except ValueError as error:
            raise UserError(f"{where}: Invalid JSON: {error}") from None


def _begins_with_a_line_of_json(text: str, place: str) -> bool:
    first = text.lstrip().partition("\n")[0]
    try:
        return isinstance(decode_json(first, place), dict)
    except ValueError:
        return False


def _text(file: Traversable, place: str) -> str:
    data = _bytes(file, place)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(
            f"{place}: not a text file in UTF-8; it seems to be {likely_encoding(data)}: write it "
            "as UTF-8"
        ) from None
    if not text.strip():
        raise UserError(f"{place}: the file is empty")
    return text


def _bytes(file: Traversable, place: str) -> bytes:
    try:
        data = file.read_bytes()
        return gzip.decompress(data) if file.name.lower().endswith(".gz") else data
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{place}: cannot be read: {reason}") from None
