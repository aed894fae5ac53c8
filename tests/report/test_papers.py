"""Documents to hand in, by pandoc where it is there."""

import shutil
import zipfile
from pathlib import Path

import pytest

from calling import assert_refused, call
from lorasweep.errors import UserError
from lorasweep.report import papers
from lorasweep.report.papers import write_document

needs_pandoc = pytest.mark.skipif(
    shutil.which("pandoc") is None, reason="needs pandoc: apt-get install pandoc"
)


@pytest.fixture
def folder(out: Path, tmp_path: Path) -> Path:
    """A report that a test may change."""
    return Path(shutil.copytree(out / "report", tmp_path / "report"))


def words_of(document: Path) -> str:
    return zipfile.ZipFile(document).read("word/document.xml").decode()


def test_without_pandoc_the_command_says_what_to_install(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(papers.shutil, "which", lambda name: None)
    monkeypatch.setattr("lorasweep.report.page.write_report", lambda *_: tmp_path / "index.html")
    ended = call("report", out, "--to", "docx")
    assert_refused(ended.__class__(ended.code, "", ended.err), "needs pandoc", "apt-get install")


def test_without_latex_a_pdf_is_refused_in_words(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(papers.shutil, "which", lambda name: name if name == "pandoc" else None)
    with pytest.raises(UserError, match="needs LaTeX beside pandoc"):
        write_document(folder, "pdf")


def test_what_pandoc_complains_of_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(papers.shutil, "which", lambda name: "false")
    with pytest.raises(UserError, match="--to docx: pandoc says: exit code 1"):
        write_document(folder, "docx")


@needs_pandoc
def test_a_word_document_has_the_edits_the_figures_and_the_tables(folder: Path) -> None:
    report = folder / "report.md"
    report.write_text(report.read_text("utf-8") + "\nMy own conclusion.\n", "utf-8")
    document = write_document(folder, "docx")
    assert document == folder / "report.docx"
    text, files = words_of(document), zipfile.ZipFile(document).namelist()
    assert "My own conclusion." in text
    assert sum(name.startswith("word/media/") for name in files) == len(
        list((folder / "figures").glob("*.png"))
    )
    assert text.count("<w:tbl>") == len(list((folder / "tables").glob("*.csv")))
    assert "Figure 1." in text


@needs_pandoc
def test_a_document_that_was_changed_by_hand_stays(folder: Path) -> None:
    document = write_document(folder, "tex")
    assert write_document(folder, "tex") == document
    assert r"\includegraphics{figures/f1.png}" in document.read_text("utf-8")
    document.write_text("mine")
    assert write_document(folder, "tex") == folder / "report.new.tex"
    assert document.read_text() == "mine"
