"""What the report is made from: a study's results, and its histories and predictions."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from lorasweep.errors import UserError
from lorasweep.records import SCHEMA, EvalEntry, Prediction, Results, RunRecord, StepEntry
from lorasweep.store import Store, damaged

Entry = TypeVar("Entry", StepEntry, EvalEntry)


@dataclass(frozen=True)
class Outcome:
    """A study's results; histories and predictions are read when asked for."""

    store: Store
    results: Results

    @cached_property
    def names(self) -> dict[str, str]:
        """Map every run id to its label, with the id where runs share the label."""
        return self.results.names

    def steps(self, run: RunRecord) -> list[StepEntry]:
        """Return the optimizer steps of a run; none where it left no history."""
        return self._history(run, StepEntry)

    def evaluations(self, run: RunRecord) -> list[EvalEntry]:
        """Return the evaluations of a run during training; none where it left no history."""
        return self._history(run, EvalEntry)

    def predictions(self, run: RunRecord, decoder: str) -> list[Prediction]:
        """Return the answers of a run; none where the decoder has not run."""
        return self.store.read_predictions(self.store.run_folder(run.id), decoder)

    def base_predictions(self, decoder: str) -> list[Prediction]:
        """Return the answers of the base model; none where the decoder has not run."""
        return self.store.read_predictions(self.store.base_folder, decoder)

    def _history(self, run: RunRecord, kind: type[Entry]) -> list[Entry]:
        try:
            entries = self.store.read_history(run.id)
        except ValidationError as error:
            raise damaged(self.store.run_folder(run.id) / "history.jsonl", error) from None
        return [entry for entry in entries if isinstance(entry, kind)]


def load_outcome(out: Path) -> Outcome:
    """Read OUT/results.json; UserError where it is missing, broken or of another schema."""
    store = Store(out)
    results = store.read_results()
    if results.schema_version != SCHEMA:
        raise UserError(
            f"{store.results_file}: schema {results.schema_version}, but this version reads "
            f"schema {SCHEMA}: run `lorasweep run STUDY --out {out}` again"
        )
    return Outcome(store, results)
