"""Numbers on figures and tables, and the sentences that send readers to them."""

import re
from pathlib import Path

import pytest
from test_page import Page

from lorasweep.report.blocks import Figure, Paragraph, Section
from lorasweep.report.numbers import numbered, pointing
from lorasweep.report.tables import Table
from lorasweep.report.words.language import Strings

SAY, FARSI = Strings.load("en"), Strings.load("fa")


def figure(id: str) -> Figure:
    return Figure(id, "title", "caption", "words", {})


def texts(*sections: Section, say: Strings = SAY) -> list[str]:
    return [b.text for s in numbered(sections, say) for b in s.blocks if isinstance(b, Paragraph)]


@pytest.mark.parametrize(
    ("blocks", "sentence"),
    [
        ([figure("a")], "See Figure 1."),
        ([figure("a"), Table("a", "", [], [])], "See Figure 1 and Table 1."),
        ([figure("a"), figure("b")], "See Figures 1 and 2."),
        ([Table(id, "", [], []) for id in "abc"], "See Tables 1 to 3."),
    ],
)
def test_a_section_names_its_figures_and_tables(
    blocks: list[Figure | Table], sentence: str
) -> None:
    assert texts(Section("s", "S", blocks)) == [sentence]
    said = texts(Section("s", "S", [Paragraph("first"), *blocks, Paragraph("last")]))
    assert said == ["first", sentence, "last"]


def test_a_sentence_points_at_what_is_there_and_at_nothing_else() -> None:
    there, gone = Paragraph(pointing("It grows.", "a")), Paragraph(pointing("It grows.", "b"))
    sections = [Section("s", "S", [there, gone]), Section("t", "T", [figure("a")])]
    assert texts(*sections)[:2] == ["It grows (Figure 1).", "It grows."]


def test_numbers_in_persian() -> None:
    (said,) = texts(Section("s", "S", [figure("a"), figure("b"), figure("c")]), say=FARSI)
    assert re.sub("[\u2066-\u2069]", "", said) == "شکل‌های ۱ تا ۳ را ببینید."


def test_page_and_written_report_count_each_in_its_own_order(out: Path, page: str) -> None:
    """Figures stand in one order in both; tables of the method come first in the report alone."""
    written = (out / "report" / "report.md").read_text("utf-8")
    in_report = re.findall(r"^\*(Figure|Table) (\d+)\. ", written, re.MULTILINE)
    shown = Page(page).text
    for kind in ("Figure", "Table"):
        numbers = [int(number) for found, number in in_report if found == kind]
        assert numbers == list(range(1, len(numbers) + 1))
        assert all(f"{kind} {number}. " in shown for number in numbers)
    assert "Figure 1. F1 of every scored run" in written
    assert "Figure 1. F1 of every scored run" in shown
