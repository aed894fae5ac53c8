"""What a report needs to be handed in: who, when, where, by what command, and works by numbers."""

import re
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from invented import make_results, make_run

from lorasweep.folder.records import Lock
from lorasweep.folder.store import Store
from lorasweep.report.blocks import Code, Paragraph
from lorasweep.report.document import byline, written_report
from lorasweep.report.load import Outcome
from lorasweep.report.page import make_sections
from lorasweep.report.sections.method.references import bibliography, references
from lorasweep.report.sections.method.reproduce import reproduce
from lorasweep.report.sections.method.settings import settings
from lorasweep.report.words.language import Strings
from lorasweep.study.study import Study

SAY, FARSI = Strings.load("en"), Strings.load("fa")
OWN = {"name": "s", "model": {"base": "m"}, "data": {"train": "a.json"},
       "grid": [{"rank": 2}], "report": {"author": "Ada Lunt"}}  # fmt: skip
MARKS = re.compile("[\u2066-\u2069]")


def outcome_of(study: Study, out: Path, **changes: Any) -> Outcome:
    store = Store(out)
    lock = Lock(study=study.model_dump(mode="json"), facts={}, precision="fp32", device="cpu",
                threads=2, micro_tokens=64, versions={})  # fmt: skip
    store.write_lock(lock)
    runs = [make_run(0, 60.0), make_run(1, 50.0, pack={"id": "p1", "lanes": 1, "seconds": 60.0})]
    return Outcome(store, make_results(runs, **changes), date(2026, 5, 3))


@pytest.fixture
def own(tmp_path: Path) -> Outcome:
    """The outcome of a study of one's own."""
    versions = {"torch": "2.9.0", "processor": "Xeon", "system": "Linux x86_64"}
    return outcome_of(Study.parse(OWN), tmp_path / "mine", versions=versions)


def test_author_and_day_stand_under_the_title(own: Outcome, tmp_path: Path) -> None:
    assert byline(own, SAY) == "Ada Lunt, 3 May 2026"
    assert MARKS.sub("", byline(own, FARSI)) == "Ada Lunt، ۳ مهٔ ۲۰۲۶"
    nobody = Study.parse(OWN | {"report": {}})
    assert byline(outcome_of(nobody, tmp_path / "o"), SAY) == "3 May 2026"
    text = written_report("s", make_sections(own, SAY), SAY, byline(own, SAY))
    assert text.startswith("# s: lorasweep report\n\nAda Lunt, 3 May 2026\n\n## Abstract\n")


def test_no_chapter_repeats_its_title(own: Outcome) -> None:
    text = written_report("s", make_sections(own, SAY), SAY)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    assert all(one != other for one, other in pairwise(headings))


def test_the_command_is_the_one_that_was_given(own: Outcome, tmp_path: Path) -> None:
    def command(outcome: Outcome) -> str:
        return next(b.text for b in reproduce(outcome, SAY).blocks if isinstance(b, Code))

    shipped, signed = Study.load("quickstart"), {"report": {"author": "Ada"}}
    for study in (shipped, Study.parse(shipped.model_dump(mode="json") | signed)):
        assert command(outcome_of(study, tmp_path / "q")) == "lorasweep run quickstart --out q"
    assert command(own) == "lorasweep run study.toml --out mine"
    changed = Study.load("quickstart", ["data.num_train=40"])
    assert command(outcome_of(changed, tmp_path / "q")) == "lorasweep run study.toml --out q"


def test_the_machine_is_named_and_is_no_version(own: Outcome) -> None:
    tables = {table.id: dict(table.shown()) for table in reproduce(own, SAY).tables()}
    assert tables["machine"] == {
        "Processor": "Xeon", "System": "Linux x86_64", "Device": "cpu", "Threads": "2",
        "Precision": "fp32", "Training of all packs (minutes)": "3.0",
    }  # fmt: skip
    assert tables["versions"] == {"torch": "2.9.0"}


def test_settings_are_words(own: Outcome) -> None:
    table = settings(own, SAY)
    assert table is not None
    shown = {name: value for _, value, name in table.shown()}
    assert shown["data.eval"] == "a part of the training data"
    assert shown["data.max_tokens"] == "as long as the model allows"
    assert shown["evaluate.decoders"] == "greedy"
    assert shown["recipe.batch_size"] == "32"
    assert not {"race", "data.num_test", "evaluate.draws"} & shown.keys()
    assert not any(value in ("null", "[]", "None") for value in shown.values())
    named = {name for name, _, path in table.shown() if name == path}
    assert not named, "every setting has a name in words"


def test_works_are_cited_by_the_numbers_of_the_list(own: Outcome) -> None:
    (works,) = references(own, SAY).blocks
    listed = {int(n): text for n, text in re.findall(r"\[(\d+)\] (.+)", "\n".join(works.items))}  # type: ignore[union-attr]
    assert list(listed) == list(range(1, len(listed) + 1))
    text = " ".join(
        b.text for s in make_sections(own, SAY) for b in s.blocks if isinstance(b, Paragraph)
    )
    for name in ("Hu", "Efron", "Westfall", "Hansen"):
        number = re.search(rf"{name}[^()]*\[(\d+)\]", text)
        assert number is not None
        assert listed[int(number[1])].startswith(name)
    cited = {int(number) for number in re.findall(r"\[(\d+)\]", text)}
    assert cited == set(listed)


def test_the_bibliography_has_every_work(own: Outcome) -> None:
    (works,) = references(own, SAY).blocks
    entries = re.findall(r"^@(\w+){(\w+),$", bibliography(own), re.MULTILINE)
    assert len(entries) == len(works.items) == len(set(entries))  # type: ignore[union-attr]
    assert ("article", "efron1987bca") in entries
    assert "author = {Westfall, P. H. and Young, S. S.}," in bibliography(own)
    assert "eprint = {2106.09685}," in bibliography(own)
