"""One table, four forms: HTML (by the page's template), CSV, Markdown and LaTeX."""

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from lorasweep.console.plain_text import visible_on_page
from lorasweep.folder.stored import Interval

Cell = str | int | float | Interval | None
Kind = Literal["text", "long", "number", "interval"]
MISSING = "–"

MARKDOWN_SPECIAL = re.compile(r"([\\`*_\[\]|~$])")
LATEX_SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
        "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
        "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
        "–": "--", "×": r"$\times$", "·": r"\textperiodcentered{}",
        "★": r"$\star$", "−": "$-$", "✓": r"$\surd$", "✗": r"$\times$",
        "Δ": r"$\Delta$", "≤": r"$\leq$", "≥": r"$\geq$", "“": "``", "”": "''",
        # after a row's end LaTeX takes these for the row's own options
        "[": "{[}", "*": "{*}",
    }
)  # fmt: skip
# control characters and invisible marks of direction, which LaTeX refuses
INVISIBLE = re.compile("[\x00-\x1f\x7f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


# What spreadsheets compute, or skip to find what they compute.
FORMULA = re.compile(r"[=+\-@\t\n\uff1d\uff0b\uff0d\uff20]")
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")

# as wide as the table is, but never wider than the page
FITTED = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"


@dataclass(frozen=True)
class Column:
    """A column: its key in CSV, its title elsewhere, and how a value is written."""

    key: str
    title: str
    show: Callable[[Any], str] = str
    kind: Kind = "text"

    @property
    def is_text(self) -> bool:
        return self.kind in ("text", "long")


@dataclass(frozen=True)
class Table:
    """A table of values; the first column names the row, None is what was not measured.

    `label` is its number in the report, which its own files leave to where they are put.
    """

    kind: ClassVar[str] = "table"

    id: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    marked: frozenset[int] = frozenset()
    label: str = ""

    def shown(self) -> list[list[str]]:
        """Return the rows as written for people; a dash where a value is missing."""
        return [
            [
                MISSING if is_missing(cell) else column.show(cell)
                for column, cell in self._pairs(row)
            ]
            for row in self.rows
        ]

    def _pairs(self, row: Sequence[Cell]) -> Iterable[tuple[Column, Cell]]:
        return zip(self.columns, row, strict=True)


def is_missing(cell: Cell) -> bool:
    """Say whether there is no value: none, an empty text, or a number that is not finite."""
    if isinstance(cell, float):
        return not math.isfinite(cell)
    return cell is None or cell == ""


def to_csv(table: Table) -> str:
    """Return plain values for programs; an interval takes two columns, a missing value none.

    Texts that a spreadsheet would take for formulas begin with an apostrophe.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column_names(table))
    writer.writerows([_defused(value) for value in row] for row in plain_rows(table))
    return text.getvalue()


def _defused(value: object) -> object:
    """Return a value that no spreadsheet computes; numbers stay as they are."""
    if not isinstance(value, str):
        return value
    # The writer does not quote a carriage return, which would end the row.
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{text}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else text


def column_names(table: Table) -> list[str]:
    """Return the keys of the columns; an interval takes two."""
    return [name for column in table.columns for name in _csv_names(column)]


def plain_rows(table: Table) -> list[list[object]]:
    """Return the values as they are, None for a missing one."""
    return [
        [
            value
            for column, cell in zip(table.columns, row, strict=True)
            for value in _plain_values(column, cell)
        ]
        for row in table.rows
    ]


def to_markdown(table: Table, quoted: Callable[[str], str] = str) -> str:
    """Return a GitHub-flavoured Markdown table under its caption.

    `quoted` is how a cell of another script than the table's is written.
    """
    heads = [_markdown_line([column.title for column in table.columns])]
    rules = ["| " + " | ".join("---" if c.is_text else "---:" for c in table.columns) + " |"]
    rows = [_markdown_line(map(quoted, row)) for row in table.shown()]
    return "\n".join([markdown_text(table.caption), "", *heads, *rules, *rows, ""])


def to_latex(table: Table) -> str:
    """Return a LaTeX table with the rules of booktabs."""
    rows = [_latex_line(row) for row in table.shown()]
    return "\n".join(
        [
            r"% In the preamble: \usepackage{booktabs,graphicx} and \usepackage[T1]{fontenc}; for",
            r"% texts in other scripts \usepackage{fontspec} in place of fontenc, and LuaLaTeX.",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_latex(table.caption)}}}",
            rf"\label{{tab:{table.id}}}",
            FITTED,
            rf"\begin{{tabular}}{{{''.join(_latex_column(c) for c in table.columns)}}}",
            r"\toprule",
            _latex_line([column.title for column in table.columns]),
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
            "",
        ]
    )


def _csv_names(column: Column) -> list[str]:
    if column.kind == "interval":
        return [f"{column.key}_low", f"{column.key}_high"]
    return [column.key]


def _plain_values(column: Column, cell: Cell) -> list[object]:
    if is_missing(cell):
        return [None] * len(_csv_names(column))
    return list(cell) if isinstance(cell, tuple) else [cell]


def _markdown_line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(markdown_text(cell) for cell in cells) + " |"


def markdown_text(text: str) -> str:
    """Return a text as Markdown that shows every character as it is, in one line."""
    text = visible_on_page(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return MARKDOWN_SPECIAL.sub(r"\\\1", _one_line(text))


def _latex_line(cells: Iterable[str]) -> str:
    return " & ".join(_latex(cell) for cell in cells) + r" \\"


def _latex(text: str) -> str:
    return INVISIBLE.sub("", _one_line(text)).translate(LATEX_SPECIAL)


def _latex_column(column: Column) -> str:
    if column.kind == "long":
        return r"p{3.5cm}"
    return "l" if column.is_text else "r"


def _one_line(text: str) -> str:
    return " ".join(text.split())
