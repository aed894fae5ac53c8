"""A report that was there: its language, its edits, and what lies beside it."""

from pathlib import Path
from typing import get_args

import pytest
from invented import make_results, make_run, write_results

from calling import call
from lorasweep.errors import UserError
from lorasweep.folder.files import read_as
from lorasweep.folder.records import Lock
from lorasweep.folder.store import Store
from lorasweep.report import kept
from lorasweep.report.charts import drawing
from lorasweep.report.page import write_report
from lorasweep.report.words.language import languages
from lorasweep.study.sections import Language
from lorasweep.study.study import Study

MINE = "# My own words\n"


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the drawing out, which is nearly all of a small report's time."""
    monkeypatch.setattr(drawing, "svg", lambda spec, say: "<svg/>")
    monkeypatch.setattr(drawing, "png", lambda svg: b"")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with results and no report."""
    write_results(tmp_path, make_results([make_run(0, 50.0)]))
    return tmp_path


def write_lock(out: Path, **report: str) -> None:
    study = Study.parse(
        {"name": "s", "model": {"base": "m"}, "data": {"train": "a.json"}, "grid": [{"rank": 2}],
         "report": report}
    )  # fmt: skip
    Store(out).write_lock(
        Lock(study=study.model_dump(mode="json"), facts={}, precision="fp32", device="cpu",
             threads=1, micro_tokens=64, versions={})
    )  # fmt: skip


def language_of(page: Path) -> str:
    return page.read_text("utf-8").partition('<html lang="')[2][:2]


def edit(file: Path) -> None:
    file.write_text(file.read_text("utf-8") + MINE, "utf-8")


def test_a_study_asks_for_the_languages_that_there_are() -> None:
    assert sorted(get_args(Language)) == languages()


def test_a_report_keeps_its_language(folder: Path) -> None:
    write_report(folder, "fa")
    assert language_of(write_report(folder)) == "fa"


def test_a_study_says_its_language_and_changes_no_fact(folder: Path) -> None:
    write_lock(folder, language="fa")
    assert language_of(write_report(folder)) == "fa"
    assert write_report(folder, "en") == folder / "report/en/index.html"


def test_a_language_that_there_is_not_is_refused_with_the_study() -> None:
    with pytest.raises(UserError, match=r"report\.language = 'fr': expected \"en\" or \"fa\""):
        write_lock(Path("none"), language="fr")


def test_two_languages_stand_beside_each_other_and_are_written_anew_together(folder: Path) -> None:
    english = write_report(folder)
    farsi = write_report(folder, "fa")
    assert (english, farsi) == (folder / "report/index.html", folder / "report/fa/index.html")
    assert (language_of(english), language_of(farsi)) == ("en", "fa")
    write_results(folder, make_results([make_run(0, 77.0)]))
    write_report(folder)
    assert "77.0" in english.read_text("utf-8")
    assert "۷۷٫۰" in farsi.read_text("utf-8")


@pytest.mark.parametrize("below", ["", "fa/"])
@pytest.mark.parametrize("name", ["report.md", "tables/leaderboard.tex"])
def test_what_was_changed_by_hand_stays_and_the_new_one_lies_beside(
    folder: Path, below: str, name: str
) -> None:
    said: list[str] = []
    for language in ("en", "fa"):
        write_report(folder, language, said.append)
    file = folder / "report" / below / name
    edit(file)
    edited = file.read_text("utf-8")
    write_results(folder, make_results([make_run(0, 77.0)]))
    write_report(folder, tell=said.append)
    new = kept.with_mark(file, "new")
    assert file.read_text("utf-8") == edited
    assert any(number in new.read_text("utf-8") for number in ("77.0", "۷۷٫۰"))
    assert said == [f"{file} was changed by hand and stays; the new one is {new.name}"]


def test_a_new_report_that_was_taken_over_is_no_edit(folder: Path) -> None:
    said: list[str] = []
    file = write_report(folder).with_name("report.md")
    edit(file)
    write_report(folder, tell=said.append)
    file.with_name("report.new.md").rename(file)
    write_report(folder, tell=said.append)
    assert len(said) == 1
    assert not file.with_name("report.new.md").exists()


def test_files_that_people_put_there_stay(folder: Path) -> None:
    page = write_report(folder)
    (page.parent / "notes").mkdir()
    own = [page.parent / "notes" / "mine.txt", page.parent / "notes" / "index.html"]
    for file in own:
        file.write_text(MINE)
    for _ in range(2):
        write_report(folder)
    assert [file.read_text() for file in own] == [MINE, MINE]


@pytest.mark.parametrize("hashes", [None, "{broken"])
def test_without_hashes_the_written_report_is_kept_under_another_name(
    folder: Path, hashes: str | None
) -> None:
    """So older versions left it; nobody knows whether it was edited."""
    said: list[str] = []
    page = write_report(folder)
    page.with_name("report.md").write_text(MINE)
    if hashes is None:
        page.with_name(kept.WRITTEN).unlink()
    else:
        page.with_name(kept.WRITTEN).write_text(hashes)
    write_report(folder, tell=said.append)
    assert page.with_name("report.old.md").read_text() == MINE
    assert "small-grid" in page.with_name("report.md").read_text()
    assert "report.old.md" in said[0]
    write_report(folder, tell=said.append)
    assert page.with_name("report.old.md").read_text() == MINE
    assert len(said) == 1


def test_the_command_says_what_stays(folder: Path) -> None:
    page = write_report(folder)
    edit(page.with_name("report.md"))
    ended = call("report", folder)
    assert (ended.code, ended.out) == (0, f"{page}\n")
    assert "was changed by hand and stays" in ended.err


def test_every_file_is_signed(out: Path) -> None:
    written = read_as(out / "report" / kept.WRITTEN, kept.Written, "")
    assert written is not None
    files = {path for path in (out / "report").rglob("*") if path.is_file()}
    assert {out / "report" / name for name in written.files} == files - {
        out / "report" / kept.WRITTEN
    }
