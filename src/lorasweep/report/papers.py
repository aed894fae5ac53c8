"""The written report as a document to hand in: Word, LaTeX or PDF, by pandoc where it is there."""

import re
import shutil
import subprocess
from pathlib import Path

from lorasweep.errors import UserError
from lorasweep.report import fonts, kept
from lorasweep.report.load import language_of
from lorasweep.report.words.language import DEFAULT_LANGUAGE, Strings

# Programs that make a PDF for pandoc, the one for all scripts first.
ENGINES = ("lualatex", "xelatex", "tectonic", "pdflatex")
INSTALL = "apt-get install pandoc, or https://pandoc.org/installing.html"
PICTURE = re.compile(r"(\]\(figures/\w+)\.svg\)")
TURNED = re.compile(r"^</?div(?: dir=\"\w+\")?>$", re.MULTILINE)
SMALL_TABLES = r"\usepackage{etoolbox}\AtBeginEnvironment{longtable}{\scriptsize}"
MINUTES = 10


def write_document(folder: Path, kind: str) -> Path:
    """Make a document from a report folder's report.md, edits included; return where it lies.

    One that was changed by hand stays, and the new one lies beside it. Raises UserError where
    pandoc is missing, or where what it needs is.
    """
    pandoc = shutil.which("pandoc")
    if pandoc is None:
        raise UserError(f"--to {kind} needs pandoc, which is not on this machine: {INSTALL}")
    say, name = Strings.load(language_of(folder) or DEFAULT_LANGUAGE), f"report.{kind}"
    place = kept.free_place(folder, name)
    command = [pandoc, "--from=gfm", "--standalone", "--shift-heading-level-by=-1",
               f"--output={place.name}", *_language(say), *_look(kind, say)]  # fmt: skip
    _call(command, _markdown(folder / "report.md"), folder, kind)
    kept.note_document(folder, name, place)
    return place


def _markdown(report: Path) -> str:
    """Return the report with pictures that every kind of document takes, direction left out."""
    text = PICTURE.sub(r"\1.png)", report.read_text(encoding="utf-8"))
    return TURNED.sub("", text)


def _language(say: Strings) -> list[str]:
    return [f"--metadata=lang:{say('language.tag')}", f"--metadata=dir:{say.direction}"]


def _look(kind: str, say: Strings) -> list[str]:
    """Return what lets wide tables fit: Word sets their columns itself, LaTeX gets wide paper."""
    if kind == "docx":
        return ["--columns=10000"]
    margin = ["--variable=geometry:a4paper,landscape,margin=2cm", "--variable=fontsize=10pt",
              f"--variable=header-includes:{SMALL_TABLES}"]  # fmt: skip
    font = [f"--variable=mainfont={say.font}.ttf",
            f"--variable=mainfontoptions=Path={fonts.FOLDER}/"] if say.font else []  # fmt: skip
    return [*margin, *font, *([f"--pdf-engine={_engine()}"] if kind == "pdf" else [])]


def _engine() -> str:
    for name in ENGINES:
        if shutil.which(name):
            return name
    raise UserError(
        "--to pdf needs LaTeX beside pandoc, and none is on this machine: install one of "
        f"{', '.join(ENGINES)}, or take --to docx, or print index.html from a browser"
    )


def _call(command: list[str], text: str, folder: Path, kind: str) -> None:
    try:
        done = subprocess.run(
            command, input=text.encode(), cwd=folder, capture_output=True, timeout=60 * MINUTES
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"--to {kind}: pandoc took more than {MINUTES} minutes") from None
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip().partition("\n")[0]
        raise UserError(f"--to {kind}: pandoc says: {why or f'exit code {done.returncode}'}")
