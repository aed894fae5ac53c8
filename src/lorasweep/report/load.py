"""What the report is made from: a study's results, and its histories and predictions."""

import re
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from lorasweep.analysis.gaps import with_gaps
from lorasweep.analysis.questions import questions_of
from lorasweep.data.examples import Group
from lorasweep.errors import UserError
from lorasweep.folder.records import SCHEMA, EvalEntry, Lock, Results, RunRecord, StepEntry
from lorasweep.folder.scores import Prediction
from lorasweep.folder.store import Store
from lorasweep.report.words.language import languages
from lorasweep.study.study import Study

PAGE = "index.html"
# How a page begins, as of every version.
LANGUAGE_OF_A_PAGE = re.compile(rb'<html lang="(\w+)"')

Entry = TypeVar("Entry", StepEntry, EvalEntry)


@dataclass(frozen=True)
class Outcome:
    """A study's results; histories and predictions are read when asked for.

    `today` is the day that the report is written on.
    """

    store: Store
    results: Results
    today: date = field(default_factory=date.today)

    @cached_property
    def names(self) -> dict[str, str]:
        """Map every run id to its label, with the id where runs share the label."""
        return self.results.names

    @cached_property
    def planned(self) -> set[str]:
        """The ids of the runs that the configurations ask for, finished or not."""
        return {point["run"] for point in self.results.configurations}

    @cached_property
    def num_unfinished(self) -> int:
        """How many planned runs have no record yet."""
        return len(self.planned - {run.id for run in self.results.runs})

    @cached_property
    def lock(self) -> Lock | None:
        """What was decided before training; None where the folder has no lock."""
        return self.store.read_lock()

    @cached_property
    def study(self) -> Study | None:
        """The study as it was resolved, from the lock; None where there is none to be read.

        Results are reported without it, so the lock of another version must not hide them.
        """
        try:
            return None if self.lock is None else Study.parse(self.lock.study)
        except UserError:
            return None

    @cached_property
    def language(self) -> str | None:
        """The language that the study asks for, else that of the report that is there."""
        asked = self.study.report.language if self.study else None
        return asked or language_of(self.store.out / "report")

    @cached_property
    def paragraphs(self) -> tuple[Group, ...]:
        """The evaluation paragraphs, read again; none where the data is gone or has changed."""
        if self.lock is None:
            return ()
        try:
            return questions_of(self.lock, self.results.data.get("eval"))
        except UserError:
            return ()

    def steps(self, run: RunRecord) -> list[StepEntry]:
        """Return the optimizer steps of a run; none where it left no history."""
        return self._history(run, StepEntry)

    def evaluations(self, run: RunRecord) -> list[EvalEntry]:
        """Return the evaluations of a run during training; none where it left no history."""
        return self._history(run, EvalEntry)

    def predictions(self, run: RunRecord, decoder: str) -> list[Prediction]:
        """Return the answers of a run; none where the decoder has not run."""
        return self.store.of_run(run.id).read_predictions(decoder)

    def base_predictions(self, decoder: str) -> list[Prediction]:
        """Return the answers of the base model; none where the decoder has not run."""
        return self.store.of_base.read_predictions(decoder)

    def adapter_sizes(self, run: RunRecord) -> list[tuple[int, int, int]]:
        """Return (d, k, r) of every adapted module, [d, k] being its weights; none without files.

        Modules that are adapted in parts have an adapter of another shape on disk than was
        trained, so for them there are none either.
        """
        from safetensors import safe_open

        place = self.store.of_run(run.id).adapter_folder / "adapter_model.safetensors"
        if not place.is_file() or any(":" in name for name in run.modules):
            return []
        files = self.store.of_run(run.id)
        with (
            files.reading(place, files.trained_again),
            safe_open(place, framework="np") as file,
        ):
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
        pairs = [
            (shapes[a], shapes[a.replace("lora_A", "lora_B")]) for a in shapes if "lora_A" in a
        ]
        return [(b_shape[0], a_shape[1], a_shape[0]) for a_shape, b_shape in pairs]

    def _history(self, run: RunRecord, kind: type[Entry]) -> list[Entry]:
        return [entry for entry in self._histories[run.id] if isinstance(entry, kind)]

    @cached_property
    def _histories(self) -> dict[str, list[StepEntry | EvalEntry]]:
        return {run.id: self.store.of_run(run.id).read_history() for run in self.results.runs}


def load_outcome(out: Path) -> Outcome:
    """Read OUT/results.json; UserError where it is missing, broken or of another schema."""
    store = Store(out)
    results = store.read_results()
    if results.schema_version != SCHEMA:
        raise UserError(
            f"{store.results_file}: schema {results.schema_version}, but this version reads "
            f"schema {SCHEMA}: run `lorasweep run STUDY --out {out}` again"
        )
    return Outcome(store, with_gaps(store, results))


def language_of(report: Path) -> str | None:
    """Return the language that a report's page says it is in; None where that is not known."""
    page = report / PAGE
    found = LANGUAGE_OF_A_PAGE.search(page.read_bytes()[:1000]) if page.is_file() else None
    language = found[1].decode() if found else None
    return language if language in languages() else None
