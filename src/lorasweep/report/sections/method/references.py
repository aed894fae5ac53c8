"""References: the works that this report's methods come from, by their numbers."""

from lorasweep.report.blocks import Items, Section
from lorasweep.report.load import Outcome
from lorasweep.report.sections.method.works import works_of
from lorasweep.report.words.language import Strings


def references(outcome: Outcome, say: Strings) -> Section:
    """List the works that the study's methods come from."""
    works = [f"[{say.integer(number)}] {work}"
             for number, work in enumerate(works_of(outcome), start=1)]  # fmt: skip
    return Section("references", say("references.title"), [Items("", works)])


def bibliography(outcome: Outcome) -> str:
    """Return the same works as a BibTeX file."""
    return "\n".join(work.bibtex() for work in works_of(outcome))
