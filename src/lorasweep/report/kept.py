"""What people change in a report's folder stays: the hashes of what was written tell."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import Field

from lorasweep.errors import UserError
from lorasweep.folder.files import read_as, write_json
from lorasweep.folder.stored import Stored
from lorasweep.hub.checksums import sha256_of
from lorasweep.report.load import PAGE
from lorasweep.report.words.language import languages

WRITTEN = "written.json"
# What of a folder without hashes, as older versions left it, may hold somebody's words.
LIKELY_EDITED = "report.md"


class Written(Stored):
    """SHA-256 of the files of a report by their names in its folder, as they were written.

    `documents` are those made from report.md, which a new report leaves alone.
    """

    files: dict[str, str]
    documents: dict[str, str] = Field(default={})


def read_written(folder: Path) -> Written | None:
    """Return what was written into a folder; None where that cannot be told."""
    try:
        return read_as(folder / WRITTEN, Written, "the report is written anew")
    except UserError:
        return None


def sign(folder: Path, before: Written | None) -> None:
    """Note what a new report's folder holds, before anything of an older one comes into it."""
    files = {name: sha256_of(folder / name) for name in _names(folder)}
    documents = before.documents if before else {}
    write_json(folder / WRITTEN, Written(files=files, documents=documents).model_dump(mode="json"))


def bring_over(old: Path, new: Path) -> list[str]:
    """Bring what people made or changed in an older report into a new one; say what stands beside.

    A changed file keeps its name, and the new one gets another: report.new.md.
    """
    before = read_written(old)
    if before is None:
        return _without_hashes(old, new)
    notes = []
    for name in _changed(old, before):
        if (new / name).is_file() and sha256_of(new / name) != sha256_of(old / name):
            beside = with_mark(new / name, "new")
            (new / name).rename(beside)
            notes.append(
                f"{old / name} was changed by hand and stays; the new one is {beside.name}"
            )
        _copy(old / name, new / name)
    return notes


def free_place(folder: Path, name: str) -> Path:
    """Return where a document may be written: beside one that was changed by hand."""
    place, before = folder / name, read_written(folder)
    known = before.documents.get(name) if before else None
    return place if not place.is_file() or sha256_of(place) == known else with_mark(place, "new")


def note_document(folder: Path, name: str, place: Path) -> None:
    """Note the hash of a document that was written."""
    before = read_written(folder) or Written(files={})
    documents = {**before.documents, name: sha256_of(place)}
    after = before.model_copy(update={"documents": documents})
    write_json(folder / WRITTEN, after.model_dump(mode="json"))


def with_mark(path: Path, mark: str) -> Path:
    """Return the path with a word before its ending: report.new.md."""
    return path.with_name(f"{path.stem}.{mark}{path.suffix}")


def _changed(folder: Path, before: Written) -> Iterator[str]:
    """Yield the files that are not as they were written; new ones beside older edits are."""
    for name in _names(folder):
        known = before.files.get(name) or before.files.get(name.replace(".new.", "."))
        if sha256_of(folder / name) != known:
            yield name


def _without_hashes(old: Path, new: Path) -> list[str]:
    """Keep an older version's report.md under another name: it may have been edited."""
    if not (old / LIKELY_EDITED).is_file():
        return []
    kept = with_mark(new / LIKELY_EDITED, "old")
    _copy(old / LIKELY_EDITED, kept)
    return [f"{old / LIKELY_EDITED} may have been changed by hand: it is kept as {kept.name}"]


def _names(folder: Path) -> Iterable[str]:
    """Return the files of a report, without those of reports in other languages below it."""
    files = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    others = {Path(name) for name in languages() if (folder / name / PAGE).is_file()}
    return [file.as_posix() for file in files
            if file.parts[-1] != WRITTEN and not others & set(file.parents)]  # fmt: skip


def _copy(file: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, to)
