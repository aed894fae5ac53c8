"""Tables: CSV, TSV and Parquet come in; rows by the names of their columns go out."""

import csv as quoting
from collections.abc import Sequence
from io import BytesIO, StringIO
from typing import Any

from lorasweep.errors import UserError

# Cells are texts, whatever they look like: a year, or NA, is not to be taken for a number. pyarrow
# wants to know the columns before it has seen the file; none has more.
MOST_COLUMNS = 10_000


def csv_rows(
    text: str, delimiter: str, place: str, names: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Return the rows of a table of texts, None for an empty cell.

    `names` are the columns of a table without a header. Raises UserError where columns do not
    match, and where a quote is opened that is not closed as CSV does; in a table of tabs, that
    often has no quoting, such quotes are characters as any other.
    """
    broken = _broken_quote(text, delimiter)
    if broken and delimiter != "\t":
        raise UserError(f"{place}: {broken}")
    columns = _columns(text, delimiter, place, quoted=not broken)
    if names:
        header, start = _named(names, columns, place)
    else:
        header, start = [cells[0] or "" for cells in columns], 1
        refuse_odd_columns(header, delimiter, place)
    return [
        {name: cell or None for name, cell in zip(header, cells, strict=True)}
        for cells in zip(*(column[start:] for column in columns), strict=True)
    ]


def parquet_rows(data: bytes, place: str) -> list[dict[str, Any]]:
    """Return the rows of a Parquet file; UserError where it is none."""
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(BytesIO(data))
        refuse_odd_columns(table.column_names, "", place)
        rows: list[dict[str, Any]] = table.to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{place}: {' '.join(str(error).split())}") from None
    return rows


def refuse_odd_columns(names: list[str], delimiter: str, place: str) -> None:
    """Raise UserError for a name that two columns have, and for columns that are not parted."""
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{place}: the column {name!r} occurs twice")
    others = [mark for mark in ";\t,|" if mark != delimiter and names and mark in names[0]]
    if len(names) == 1 and others:
        raise UserError(
            f"{place}: one column, {names[0][:60]!r}; its columns seem to be parted by "
            f"{others[0]!r}, where a .csv file has commas and a .tsv file tabs"
        )


def _columns(text: str, delimiter: str, place: str, quoted: bool) -> list[list[str]]:
    """Return a table's columns, its header their first cells."""
    import pyarrow
    from pyarrow import csv

    data = text.encode()
    types = {f"f{number}": pyarrow.string() for number in range(_most_columns(text, delimiter))}
    try:
        table = csv.read_csv(
            BytesIO(data),
            # a cell may be longer than a block, and hold line breaks
            read_options=csv.ReadOptions(
                block_size=min(len(data) + 1, 2**31 - 1), autogenerate_column_names=True
            ),
            parse_options=csv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if quoted else False,
                newlines_in_values=quoted,
            ),
            convert_options=csv.ConvertOptions(column_types=types),
        )
    except pyarrow.ArrowException as error:
        raise UserError(f"{place}: {error}") from None
    return [column.to_pylist() for column in table.columns]


def _most_columns(text: str, delimiter: str) -> int:
    """Return at least as many columns as the first line has: a quoted cell may hold a break."""
    return min(MOST_COLUMNS, max(64, text[:100_000].count(delimiter) + 1))


def _named(names: Sequence[str], columns: list[list[str]], place: str) -> tuple[list[str], int]:
    """Return the names of a table's columns, and where its rows begin: a header may stand there."""
    if len(names) != len(columns):
        raise UserError(
            f"{place}: {len(columns)} columns, where data.columns names {len(names)}: "
            f"{', '.join(names)}"
        )
    return list(names), int([column[0] for column in columns] == list(names))


def _broken_quote(text: str, delimiter: str) -> str:
    """Say where a quote is broken, "" where none is: pyarrow would read on to the next one."""
    if '"' not in text:
        return ""
    quoting.field_size_limit(2**31 - 1)
    reader = quoting.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begins = 1
    try:
        for _ in reader:
            begins = reader.line_num + 1
    except quoting.Error as error:
        return _told(str(error), begins, reader.line_num, text)
    return ""


def _told(error: str, begins: int, ends: int, text: str) -> str:
    if "unexpected end" in error:
        return f"row of line {begins}: a quote is opened there that is never closed"
    how = ', not as \\"' if '\\"' in text else ""
    return (
        f"line {ends}: a quote closes a cell that goes on behind it; a quote inside a quoted cell "
        f'is written twice, ""{how}'
    )
