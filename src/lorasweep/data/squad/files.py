"""Files of questions: JSON, lines of JSON, tables come in; decoded rows or a nested file go out."""

import gzip
import zlib
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from io import BytesIO
from pathlib import Path
from typing import Any

from lorasweep.data.squad.json_text import decode_json
from lorasweep.errors import UserError

JSON, LINES, TABLES = ".json", ".jsonl", {".csv": ",", ".tsv": "\t", ".parquet": ""}
SUFFIXES = (JSON, LINES, *TABLES)
# Columns that are texts, whatever they look like: a year, or NA, is not to be taken for a number.
TEXT_COLUMNS = ("id", "guid", "title", "context", "question", "answers", "is_impossible")
# A row with its number and its place for messages.
PlacedRow = tuple[int, str, Any]


def suffix_of(name: str) -> str:
    """Return the suffix that says what a file is, in small letters, without .gz."""
    return Path(name.lower().removesuffix(".gz")).suffix


def stem_of(name: str) -> str:
    """Return a file's name without what `suffix_of` looks at."""
    return Path(name[:-3] if name.lower().endswith(".gz") else name).stem


def read_json_file(file: Traversable, place: str) -> dict[str, Any] | list[PlacedRow]:
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


def read_lines_file(file: Traversable, place: str) -> list[PlacedRow]:
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


def read_table(file: Path, place: str) -> list[PlacedRow]:
    """Return the rows of a .csv, .tsv or .parquet file; an empty cell is None."""
    suffix = suffix_of(file.name)
    if suffix == ".parquet":
        rows = _parquet_rows(_bytes(file, place), place)
    else:
        rows = _csv_rows(_text(file, place), TABLES[suffix], place)
    return [(number, f"{place}: row {number}", row) for number, row in enumerate(rows, start=1)]


def _entries(values: Any, place: str) -> Iterator[PlacedRow]:
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


def _csv_rows(text: str, delimiter: str, place: str) -> list[dict[str, Any]]:
    import pyarrow
    from pyarrow import csv

    data = text.encode()
    try:
        table = csv.read_csv(
            BytesIO(data),
            # a cell may be longer than a block, and hold line breaks
            read_options=csv.ReadOptions(block_size=min(len(data) + 1, 2**31 - 1)),
            parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(TEXT_COLUMNS, pyarrow.string())
            ),
        )
    except pyarrow.ArrowException as error:
        raise UserError(f"{place}: {error}") from None
    _refuse_odd_columns(table.column_names, delimiter, place)
    return [{name: cell or None for name, cell in row.items()} for row in table.to_pylist()]


def _parquet_rows(data: bytes, place: str) -> list[dict[str, Any]]:
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(BytesIO(data))
        _refuse_odd_columns(table.column_names, "", place)
        rows: list[dict[str, Any]] = table.to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{place}: {' '.join(str(error).split())}") from None
    return rows


def _refuse_odd_columns(names: list[str], delimiter: str, place: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{place}: the column {name!r} occurs twice")
    others = [mark for mark in ";\t,|" if mark != delimiter and names and mark in names[0]]
    if len(names) == 1 and others:
        raise UserError(
            f"{place}: one column, {names[0][:60]!r}; its columns seem to be parted by "
            f"{others[0]!r}, where a .csv file has commas and a .tsv file tabs"
        )


def _text(file: Traversable, place: str) -> str:
    try:
        text = _bytes(file, place).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{place}: not a text file in UTF-8") from None
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
