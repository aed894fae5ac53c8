"""Why any run's answers are wrong, beside any other's: read from a study's folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorasweep.analysis.failures import classified, failures_of
from lorasweep.analysis.naming import is_base
from lorasweep.analysis.questions import questions_of
from lorasweep.analysis.results import lock_of, run_called
from lorasweep.data.examples import Group
from lorasweep.errors import UserError, nearest
from lorasweep.folder.findings import Failures
from lorasweep.folder.records import BaseRecord, Results, RunRecord
from lorasweep.folder.run_files import RunFiles
from lorasweep.folder.store import Store
from lorasweep.scoring.failures.breakdown import Row


@dataclass(frozen=True)
class WrongAnswers:
    """The answers of a run by class and by question, with another's beside them."""

    run: str
    against: str
    decoder: str
    found: Failures

    def as_json(self) -> dict[str, Any]:
        """Return the plain values of `failures --json`; changes go from `against` to `run`."""
        return {
            "run": self.run,
            "against": self.against,
            "decoder": self.decoder,
            "breakdowns": [
                {
                    "aspect": each.aspect,
                    "run": [group.model_dump() for group in each.best],
                    "against": [group.model_dump() for group in each.base],
                }
                for each in self.found.breakdowns
            ],
            "changes": self.found.changes.model_dump() if self.found.changes else None,
            "examples": [example.model_dump() for example in self.found.examples],
        }


def wrong_answers(out: Path, run: str, against: str, decoder: str) -> WrongAnswers:
    """Classify a run's answers and another's; both are ids, labels, `best` or `base`.

    Raises UserError for a run or a decoder without answers, for runs that answered other
    questions, and where the questions cannot be read any more.
    """
    store = Store(out)
    results = store.read_results()
    paragraphs = questions_of(lock_of(store), results.data.get("eval"))
    records = [_record(results, name) for name in (run, against)]
    _check_decoder(store, records, decoder)
    if records[0] == records[1]:
        both = _name(results, records[0])
        raise UserError(f"{both} would stand beside itself: name another run, or another --against")
    rows = [_rows(store, record, decoder, paragraphs) for record in records]
    first, second = (_name(results, record) for record in records)
    if {row.id for row in rows[0]} != {row.id for row in rows[1]}:
        raise UserError(f"{first} and {second} answered other questions")
    return WrongAnswers(first, second, decoder, failures_of(rows[0], rows[1]))


def _record(results: Results, name: str) -> BaseRecord | RunRecord:
    return results.base if is_base(name) else run_called(results, name)


def _name(results: Results, record: BaseRecord | RunRecord) -> str:
    return "base model" if isinstance(record, BaseRecord) else results.names[record.id]


def _check_decoder(store: Store, records: Sequence[BaseRecord | RunRecord], decoder: str) -> None:
    """Raise UserError where a decoder has not answered, or its answers are gone."""
    for record in records:
        files = _files(store, record)
        known = [name for name, found in record.metrics.items() if not isinstance(found, float)]
        if decoder not in known:
            raise UserError(f"no answers by {decoder!r} in {files.folder}{nearest(decoder, known)}")
        if not files.predictions_file(decoder).is_file():
            raise UserError(
                f"{files.predictions_file(decoder)}: the answers are gone; {files.made_again}"
            )


def _files(store: Store, record: BaseRecord | RunRecord) -> RunFiles:
    return store.of_base if isinstance(record, BaseRecord) else store.of_run(record.id)


def _rows(
    store: Store,
    record: BaseRecord | RunRecord,
    decoder: str,
    paragraphs: Sequence[Group],
) -> list[Row]:
    predictions = _files(store, record).read_predictions(decoder)
    return classified([each for each in predictions if each.draw == 0], paragraphs)
