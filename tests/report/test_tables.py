"""One table in its text forms: values kept in CSV, special characters tamed elsewhere."""

import csv
import io
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorasweep.report.tables import Column, Table, to_csv, to_latex, to_markdown

COLUMNS = [
    Column("label", "Run"),
    Column("f1", "F1", "{:.1f}".format, "number"),
    Column(
        "f1_interval", "95 % interval", lambda pair: f"{pair[0]:.1f} – {pair[1]:.1f}", "interval"
    ),
]


def make_table(*rows: tuple[object, ...], caption: str = "Scores") -> Table:
    return Table("scores", caption, COLUMNS, rows)  # type: ignore[arg-type]


def test_csv_keeps_values_and_gives_an_interval_two_columns() -> None:
    text = to_csv(make_table(("a, b", 61.23456, (58.0, 64.5)), ("c", None, None)))
    assert text == 'label,f1,f1_interval_low,f1_interval_high\n"a, b",61.23456,58.0,64.5\nc,,,\n'


def test_markdown_aligns_numbers_and_shows_a_dash_for_what_is_missing() -> None:
    lines = to_markdown(make_table(("a", 61.23456, (58.0, 64.5)), ("b", None, None))).splitlines()
    assert lines == [
        "Scores",
        "",
        "| Run | F1 | 95 % interval |",
        "| --- | ---: | ---: |",
        "| a | 61.2 | 58.0 – 64.5 |",
        "| b | – | – |",
    ]


@pytest.mark.parametrize("missing", [None, "", math.nan, math.inf])
def test_what_is_not_a_value_is_missing_in_every_form(missing: object) -> None:
    table = make_table(("a", missing, None))
    assert to_csv(table).splitlines()[1] == "a,,,"
    assert "| a | – | – |" in to_markdown(table)
    assert r"a & -- & -- \\" in to_latex(table)


def test_latex_has_the_rules_of_booktabs() -> None:
    text = to_latex(make_table(("a", 1.0, None)))
    assert r"\begin{tabular}{lrr}" in text
    places = [text.index(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")]
    assert places == sorted(places)
    assert r"Run & F1 & 95 \% interval \\" in text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (r"50% & $3 #1 a_b {x}", r"50\% \& \$3 \#1 a\_b \{x\}"),
        (r"C:\new ~ ^", r"C:\textbackslash{}new \textasciitilde{} \textasciicircum{}"),
        ("[1] * <b>|", r"{[}1] {*} \textless{}b\textgreater{}\textbar{}"),
        ("two\nlines\x00 \u202eturned\u202c", "two lines turned"),
    ],
)
def test_latex_special_characters_are_escaped(text: str, written: str) -> None:
    assert written in to_latex(make_table((text, 1.0, None), caption=text))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a|b", r"a\|b"),
        ("*x* _y_ `z`", r"\*x\* \_y\_ \`z\`"),
        ("<script> & [l](u)", r"&lt;script&gt; &amp; \[l\](u)"),
        ("two\nlines", "two lines"),
    ],
)
def test_markdown_special_characters_are_escaped(text: str, written: str) -> None:
    assert f"| {written} |" in to_markdown(make_table((text, 1.0, None)))


@settings(max_examples=50)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00")))
def test_any_text_stays_in_its_row_and_column(text: str) -> None:
    table = make_table((f"x{text}", 1.0, None))
    assert list(csv.reader(io.StringIO(to_csv(table))))[1][0] == f"x{text}"
    assert len(to_markdown(table).split("\n")) == 6
    body = to_latex(table).partition("\\midrule\n")[2].partition("\n\\bottomrule")[0]
    assert body.count("\n") == 0
    assert body.replace(r"\&", "").count("&") == 2


@pytest.mark.parametrize(
    "text",
    ["=cmd|' /C calc'!A1", "+1+1 When 6?", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1+1"],
)
def test_no_cell_is_a_formula(text: str) -> None:
    written = io.StringIO(to_csv(make_table((text, 1.0, None))), newline="")
    assert list(csv.reader(written))[1][0] == f"'{text}".replace("\r", "\n")


@pytest.mark.parametrize("text", ["-14.4", "+3", "-1e-3", "a=b", "r4 lr1e-3", "'quoted'"])
def test_numbers_and_other_texts_stay_as_they_are(text: str) -> None:
    written = io.StringIO(to_csv(make_table((text, -1.5, (-2.0, -1.0)))))
    assert list(csv.reader(written))[1] == [text, "-1.5", "-2.0", "-1.0"]


def test_markdown_shows_what_would_act() -> None:
    text = to_markdown(make_table(("a\x1b[2J\u202eb", 1.0, None)))
    assert r"a\\x1b\[2J\\u202eb" in text
