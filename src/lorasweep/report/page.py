"""Put the sections on one page, and write it with its figures and tables."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from lorasweep.console.printing import print_note
from lorasweep.folder.files import replaced_folder
from lorasweep.report import fonts, kept
from lorasweep.report.blocks import Figure, Section
from lorasweep.report.charts import drawing
from lorasweep.report.document import byline, directed, written_report
from lorasweep.report.load import PAGE, Outcome, load_outcome
from lorasweep.report.numbers import numbered
from lorasweep.report.sections.method.references import bibliography
from lorasweep.report.sections.order import SECTIONS
from lorasweep.report.tables import Cell, is_missing, to_csv, to_latex, to_markdown
from lorasweep.report.words.language import DEFAULT_LANGUAGE, Strings, languages
from lorasweep.report.words.terms import note
from lorasweep.study.as_file import as_file


def write_report(
    out: Path, language: str | None = None, tell: Callable[[str], None] = print_note
) -> Path:
    """Write the report of what a study's folder holds; return its index.html.

    OUT/report is in the language of the study, else in that of the report that is there, else in
    the one that is asked for; reports in other languages lie in folders below it. Without a
    language all that are there are written anew.
    A folder is written aside and then put in place of an older one, so that a report is whole or
    not there. What was changed in it by hand stays, and `tell` hears of it.
    Raises UserError where results.json is missing or cannot be read.
    """
    outcome, folder = load_outcome(out), out / "report"
    main = outcome.language or language or DEFAULT_LANGUAGE
    if language not in (None, main):
        return _write_folder(outcome, folder / str(language), str(language), (), tell)
    others = [name for name in languages() if (folder / name / PAGE).is_file()]
    return _write_folder(outcome, folder, main, others, tell)


def _write_folder(
    outcome: Outcome, folder: Path, language: str, below: Sequence[str], tell: Callable[[str], None]
) -> Path:
    """Write a report in a language, and those in other languages below it."""
    Strings.load(language)
    with replaced_folder(folder) as aside:
        notes = _fill(outcome, aside, folder, language)
        for other in below:
            (aside / other).mkdir()
            notes += _fill(outcome, aside / other, folder / other, other)
    for line in notes:
        tell(line)
    return folder / PAGE


def _fill(outcome: Outcome, folder: Path, old: Path, language: str) -> list[str]:
    """Write a report into an empty folder; return what to say of an older one's changes."""
    say = Strings.load(language)
    sections = make_sections(outcome, say)
    pictures = {
        figure.id: drawing.svg(figure.spec, say)
        for section in sections
        for figure in section.figures()
    }
    _write_tables(folder / "tables", sections, say)
    _write_pictures(folder / "figures", pictures)
    page = _page(outcome, sections, pictures, say)
    (folder / PAGE).write_text(page, encoding="utf-8")
    written = written_report(outcome.results.study, sections, say, byline(outcome, say))
    (folder / "report.md").write_text(written, encoding="utf-8")
    (folder / "references.bib").write_text(bibliography(outcome), encoding="utf-8")
    if outcome.study:
        (folder / "study.toml").write_text(as_file(outcome.study), encoding="utf-8")
    kept.sign(folder, kept.read_written(old))
    return kept.bring_over(old, folder)


def make_sections(outcome: Outcome, say: Strings) -> list[Section]:
    """Return the sections of the report in reading order, without empty ones."""
    results = outcome.results
    base = results.base.model_copy(update={"note": note(results.base.note, say)})
    told = replace(outcome, results=results.model_copy(update={"base": base}))
    made = (section(told, say) for section in SECTIONS)
    return [section for section in made if not section.is_empty]


def notebook_html(study: str, sections: list[Section], say: Strings) -> str:
    """Return the summary and the leaderboard for a notebook, and the names of all there is."""
    shown = {section.id: section for section in sections}
    return (
        _environment()
        .get_template("notebook.html")
        .render(
            study=study,
            say=say,
            summary=shown["summary"],
            leaderboard=next(each for each in shown["leaderboard"].tables()),
            tables=[table.id for section in sections for table in section.tables()],
            charts=[figure.id for section in sections for figure in section.figures()],
        )
    )


def _write_tables(folder: Path, sections: list[Section], say: Strings) -> None:
    folder.mkdir()
    for table in (table for section in sections for table in section.tables()):
        forms = {
            "csv": to_csv(table),
            "md": directed(to_markdown(table, say.quoted), say),
            "tex": to_latex(table),
        }
        for suffix, text in forms.items():
            (folder / f"{table.id}.{suffix}").write_text(text, encoding="utf-8")


def _write_pictures(folder: Path, pictures: dict[str, str]) -> None:
    folder.mkdir()
    for name, picture in pictures.items():
        (folder / f"{name}.svg").write_text(picture, encoding="utf-8")
        (folder / f"{name}.png").write_bytes(drawing.png(picture))


def _page(outcome: Outcome, sections: list[Section], pictures: dict[str, str], say: Strings) -> str:
    """Return the page; each picture is shown until, or where no, script draws its chart."""
    scripts = _scripts(sections)
    return (
        _environment()
        .get_template("page.html")
        .render(
            results=outcome.results,
            sections=numbered(sections, say),
            byline=byline(outcome, say),
            pictures={name: _data_url(picture) for name, picture in pictures.items()},
            say=say,
            style=Markup(_asset("style.css") + _asset("browser.css") + fonts.style(say.font)),
            scripts=[Markup(script) for script in scripts],
            script_hashes=" ".join(_hash(script) for script in scripts),
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("lorasweep.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["page_spec"] = _page_spec
    environment.filters["order"] = _order
    environment.filters["embedded"] = _embedded
    return environment


def _page_spec(figure: Figure, say: Strings) -> drawing.Spec:
    """Return a chart for the page, with the words by which screen readers call it."""
    return drawing.page_spec(figure.spec, say) | {"description": figure.alternative}


def _order(cell: Cell) -> Markup:
    """Return the attribute by which the page sorts a number, or an interval by its lower end."""
    value = cell[0] if isinstance(cell, tuple) else cell
    is_number = isinstance(value, int | float) and not is_missing(value)
    return Markup(f' data-value="{value}"') if is_number else Markup()


def _embedded(data: object) -> Markup:
    """Return data as JSON in as few bytes as an element of the page can hold it in."""
    return htmlsafe_json_dumps(data, ensure_ascii=False, separators=(",", ":"))


def _scripts(sections: list[Section]) -> list[str]:
    """Return the scripts that the blocks need; none of them may close its own tag."""
    kinds = {block.kind for section in sections for block in section.blocks}
    charted = [drawing.javascript(), _asset("page.js")] if "figure" in kinds else []
    browsed = [_asset("browser.js")] if "browser" in kinds else []
    return [text.replace("</script", "<\\/script") for text in (*charted, *browsed)]


def _hash(script: str) -> str:
    """Return the name under which the page's content security policy lets a script run."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _data_url(picture: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(picture.encode()).decode()}"


def _asset(name: str) -> str:
    return (resources.files("lorasweep.report") / "templates" / name).read_text(encoding="utf-8")
