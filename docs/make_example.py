"""Write docs/example from the folder of benchmarks/grid75.toml: python docs/make_example.py FOLDER.

report.md is `lorasweep report`'s, but for the tables that quote questions and answers: SQuAD's
texts have a licence of their own, and are left where they are.
"""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

from lorasweep.folder.findings import DecoderAnalysis
from lorasweep.folder.records import Results
from lorasweep.folder.store import Store
from lorasweep.report.blocks import Block, Notice, Section
from lorasweep.report.charts import drawing
from lorasweep.report.document import written_report
from lorasweep.report.load import load_outcome
from lorasweep.report.page import make_sections
from lorasweep.report.words.language import Strings

EXAMPLE = Path(__file__).parent / "example"
QUOTING = ("failure_examples", "sample_predictions")
LEFT_OUT = Notice(
    "A table of questions and answers stands here in a report; this example leaves it out, since "
    "SQuAD's texts have a licence of their own."
)


def write_example(study: Path, example: Path) -> None:
    """Write report.md, its figures and results.json."""
    say, outcome = Strings.load("en"), load_outcome(study)
    sections = [without_quotes(section) for section in make_sections(outcome, say)]
    shutil.rmtree(example, ignore_errors=True)
    (example / "figures").mkdir(parents=True)
    for figure in (figure for section in sections for figure in section.figures()):
        picture = drawing.svg(figure.spec, say)
        (example / "figures" / f"{figure.id}.svg").write_text(picture, encoding="utf-8")
    report = written_report(outcome.results.study, sections, say)
    (example / "report.md").write_text(report, encoding="utf-8")
    Store(example).write_results(without_examples(outcome.results))


def without_quotes(section: Section) -> Section:
    """Return a section without its tables of questions and answers."""
    return replace(section, blocks=[_shown(block) for block in section.blocks])


def _shown(block: Block) -> Block:
    return LEFT_OUT if getattr(block, "id", "") in QUOTING else block


def without_examples(results: Results) -> Results:
    """Return results whose analysis quotes no wrong answers."""
    if results.analysis is None:
        return results
    decoders = {name: _unquoted(found) for name, found in results.analysis.decoders.items()}
    analysis = results.analysis.model_copy(update={"decoders": decoders})
    return results.model_copy(update={"analysis": analysis})


def _unquoted(found: DecoderAnalysis) -> DecoderAnalysis:
    failures = found.failures and found.failures.model_copy(update={"examples": []})
    return found.model_copy(update={"failures": failures})


if __name__ == "__main__":
    write_example(Path(sys.argv[1]), EXAMPLE)
