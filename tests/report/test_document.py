"""The written report: chapters in order, figures and tables in place, data tamed."""

import re
from pathlib import Path

from invented import HOSTILE, make_results

from lorasweep.folder.store import Store
from lorasweep.report.document import CHAPTERS, WRITERS, written_report
from lorasweep.report.load import Outcome
from lorasweep.report.sections.order import SECTIONS
from lorasweep.report.words.language import Strings

SAY = Strings.load("en")


def test_chapters_are_in_order_and_hold_every_section(out: Path) -> None:
    text = (out / "report" / "report.md").read_text(encoding="utf-8")
    titles = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert titles == [SAY(f"chapter.{chapter}") for chapter in CHAPTERS]
    outcome = Outcome(Store(out), make_results([]))
    ids = {section(outcome, SAY).id for section in SECTIONS}
    on_the_page_alone = {"predictions"}
    written = [id for chapter in CHAPTERS.values() for id in chapter]
    assert sorted(written) == sorted(ids - on_the_page_alone)


def test_every_figure_and_table_stands_in_the_text(out: Path) -> None:
    text = (out / "report" / "report.md").read_text(encoding="utf-8")
    pictures = re.findall(r"^!\[.+\]\((figures/\w+\.svg)\)$", text, re.MULTILINE)
    drawn = {f"figures/{path.name}" for path in (out / "report" / "figures").glob("*.svg")}
    assert set(pictures) == drawn
    assert len(pictures) == len(drawn)
    captions = len(re.findall(r"^\*.+\*\n\n\| ", text, re.MULTILINE))
    assert captions == len(list((out / "report" / "tables").glob("*.md")))


def test_data_cannot_become_markup(out: Path) -> None:
    text = (out / "report" / "report.md").read_text(encoding="utf-8")
    assert HOSTILE not in text
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_every_kind_of_block_can_be_written() -> None:
    sections = [
        section(Outcome(Store(Path("none")), make_results([])), SAY) for section in SECTIONS
    ]
    assert {type(block) for section in sections for block in section.blocks} <= set(WRITERS)
    assert written_report("s", sections, SAY).startswith("# s: lorasweep report\n\n## Abstract\n\n")
