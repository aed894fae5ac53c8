"""The study's folder: what is decided and done, and where each run has its files.

OUT/study.lock.json             what was decided before training, and is used on resume
OUT/runs/<run id>/              record.json, history.jsonl, rungs.jsonl, losses.json, adapter/,
                                predictions/
OUT/base/                       record.json, losses.json, predictions/
OUT/results.json                every run and configuration with its metrics
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

from lorasweep.errors import UserError
from lorasweep.folder.files import ASIDE, read_as, write_json
from lorasweep.folder.records import BaseRecord, Lock, Results, RunRecord
from lorasweep.folder.run_files import RunFiles
from lorasweep.folder.sums import RECORD


class Store:
    """A study's folder on disk."""

    def __init__(self, out: Path) -> None:
        self.out = out

    @property
    def lock_file(self) -> Path:
        """Where the decisions are kept that resume uses."""
        return self.out / "study.lock.json"

    @property
    def results_file(self) -> Path:
        """The public contract."""
        return self.out / "results.json"

    def run_folder(self, run_id: str) -> Path:
        """The folder of one run."""
        return self.out / "runs" / run_id

    @property
    def base_folder(self) -> Path:
        """The folder of the untuned base model."""
        return self.out / "base"

    def of_run(self, run_id: str) -> RunFiles:
        """The files of one run."""
        return RunFiles(self.run_folder(run_id))

    def sound_weights(self, run: RunRecord) -> Path:
        """Return the folder of a run's adapter, or of its model where that was trained in full.

        Raises UserError where its files are not what was written.
        """
        files = self.of_run(run.id)
        is_full = run.configuration.method == "full"
        return files.sound(files.model_folder if is_full else files.adapter_folder)

    @property
    def of_base(self) -> RunFiles:
        """The files of the untuned base model."""
        return RunFiles(self.base_folder)

    @property
    def checkpoints_folder(self) -> Path:
        """Where packs in training keep their state, a folder each."""
        return self.out / "checkpoints"

    def drop_checkpoints(self, pack_id: str) -> None:
        """Remove a finished pack's saved state."""
        shutil.rmtree(self.checkpoints_folder / pack_id, ignore_errors=True)
        if self.checkpoints_folder.is_dir() and not any(self.checkpoints_folder.iterdir()):
            self.checkpoints_folder.rmdir()

    def remove_leftovers(self) -> None:
        """Remove what a killed process was writing aside, and checkpoints of what is finished.

        To be called by the process that holds the folder.
        """
        lock = self.read_lock()
        for pack_id in self._finished_packs(lock) if lock else ():
            self.drop_checkpoints(pack_id)
        own = [self.out / name for name in ("runs", "base", "checkpoints", "exports")]
        below = [found for folder in own for found in folder.rglob(".*.part")]
        for part in [*self.out.glob(".*.part"), *below]:
            if ASIDE.match(part.name):
                shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)

    def _finished_packs(self, lock: Lock) -> Iterator[str]:
        """Yield the packs whose runs all have records, but for stopped ones, which may go on."""
        for pack in lock.packs:
            states = {run.id: record.state for run in pack.runs
                      if (record := self.read_run(run.id))}  # fmt: skip
            if len(states) == len(pack.runs):
                yield pack.id
            yield from (f"run-{run_id}" for run_id, state in states.items() if state != "stopped")

    @property
    def _runs_again(self) -> str:
        return f"`lorasweep run STUDY --out {self.out}` makes it again"

    @property
    def _decided_again(self) -> str:
        return (
            f"delete it, then `lorasweep run STUDY --out {self.out}` decides anew and keeps every "
            "finished run"
        )

    def read_lock(self) -> Lock | None:
        """Return what was decided before, or None in a new folder."""
        return read_as(self.lock_file, Lock, self._decided_again)

    def write_lock(self, lock: Lock) -> None:
        """Write what is decided."""
        write_json(self.lock_file, lock.model_dump(mode="json"))

    def read_run(self, run_id: str) -> RunRecord | None:
        """Return a run's record, or None while there is none."""
        place = self.run_folder(run_id) / RECORD
        return read_as(place, RunRecord, self.of_run(run_id).trained_again)

    def write_run(self, record: RunRecord) -> None:
        """Write a run's record: the last file of a run to appear."""
        write_json(self.run_folder(record.id) / RECORD, record.model_dump(mode="json"))

    def read_base(self) -> BaseRecord | None:
        """Return the base model's record, or None while there is none."""
        return read_as(self.base_folder / RECORD, BaseRecord, f"delete it: {self._runs_again}")

    def write_base(self, record: BaseRecord) -> None:
        """Write the base model's record."""
        write_json(self.base_folder / RECORD, record.model_dump(mode="json"))

    def write_results(self, results: Results) -> None:
        """Write results.json."""
        write_json(self.results_file, results.model_dump(mode="json", by_alias=True))

    def read_results(self) -> Results:
        """Return results.json; raises UserError where there is none yet."""
        results = read_as(self.results_file, Results, self._runs_again)
        if results is None:
            raise UserError(
                f"no results in {self.out}: run `lorasweep run STUDY --out {self.out}` first"
            )
        return results
