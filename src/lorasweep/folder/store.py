"""The study's folder: what is done, written atomically (aside, then renamed).

OUT/study.lock.json             what was decided before training, and is used on resume
OUT/runs/<run id>/              record.json, history.jsonl, rungs.jsonl, losses.json, adapter/,
                                predictions/
OUT/base/                       record.json, losses.json, predictions/
OUT/results.json                every run and configuration with its metrics
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from safetensors import SafetensorError

from lorasweep.errors import UserError
from lorasweep.folder.records import (
    BaseRecord,
    EvalEntry,
    FinalLosses,
    HistoryEntry,
    Lock,
    Prediction,
    Results,
    Rung,
    RunRecord,
    StepEntry,
)

R = TypeVar("R", bound=BaseModel)
BUSY = ".busy"
# How long a new process waits, since `status` holds the mark for a moment to see if it is held.
SECONDS_OF_A_LOOK = 0.5
# What is written aside: the name, the process, and an ending that nobody else gives.
ASIDE = re.compile(r"^\..+\.\d+\.lorasweep\.part$")


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

    @property
    def checkpoints_folder(self) -> Path:
        """Where packs in training keep their state, a folder each."""
        return self.out / "checkpoints"

    def drop_checkpoints(self, pack_id: str) -> None:
        """Remove a finished pack's saved state."""
        shutil.rmtree(self.checkpoints_folder / pack_id, ignore_errors=True)
        if self.checkpoints_folder.is_dir() and not any(self.checkpoints_folder.iterdir()):
            self.checkpoints_folder.rmdir()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the folder for this process; raises UserError where another one has it.

        A folder that was made for this and in which nothing was written is removed again.
        """
        # Imported here: no command that only reads needs it.
        from filelock import FileLock, Timeout

        is_new = not self.out.exists()
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            with FileLock(self.out / BUSY, timeout=SECONDS_OF_A_LOOK):
                try:
                    yield
                finally:
                    self._leave()
        except (FileExistsError, NotADirectoryError):
            raise UserError(f"{self.out}: this is a file; a study needs a folder") from None
        except Timeout:
            raise UserError(f"{self.out}: another lorasweep is at work in this folder") from None
        finally:
            if is_new and self.out.is_dir() and not any(self.out.iterdir()):
                self.out.rmdir()

    def _leave(self) -> None:
        """Remove the mark of a process at work, while nobody else can have it."""
        with suppress(OSError):  # Windows keeps an open file; a folder may be read-only by now
            (self.out / BUSY).unlink()

    def is_busy(self) -> bool:
        """Say whether a process is at work in the folder; a mark that a kill left does not count.

        Where the folder cannot be written to, nobody is.
        """
        if not (self.out / BUSY).exists():
            return False
        from filelock import FileLock, Timeout

        try:
            with FileLock(self.out / BUSY, timeout=0):
                return False
        except Timeout:
            return True
        except OSError:
            return False

    def remove_leftovers(self) -> None:
        """Remove what a killed process was writing aside, in the places where studies write."""
        own = [self.out / name for name in ("runs", "base", "checkpoints")]
        below = [found for folder in own for found in folder.rglob(".*.part")]
        for part in [*self.out.glob(".*.part"), *below]:
            if ASIDE.match(part.name):
                shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)

    def read_lock(self) -> Lock | None:
        """Return what was decided before, or None in a new folder."""
        return _read(self.lock_file, Lock)

    def write_lock(self, lock: Lock) -> None:
        """Write what is decided."""
        write_json(self.lock_file, lock.model_dump(mode="json"))

    def read_run(self, run_id: str) -> RunRecord | None:
        """Return a run's record, or None while there is none."""
        return _read(self.run_folder(run_id) / "record.json", RunRecord)

    def write_run(self, record: RunRecord) -> None:
        """Write a run's record: the last file of a run to appear."""
        write_json(self.run_folder(record.id) / "record.json", record.model_dump(mode="json"))

    def read_base(self) -> BaseRecord | None:
        """Return the base model's record, or None while there is none."""
        return _read(self.base_folder / "record.json", BaseRecord)

    def write_base(self, record: BaseRecord) -> None:
        """Write the base model's record."""
        write_json(self.base_folder / "record.json", record.model_dump(mode="json"))

    def write_history(self, run_id: str, history: Iterable[StepEntry | EvalEntry]) -> None:
        """Write a line per logged step and per evaluation."""
        lines = "".join(entry.model_dump_json() + "\n" for entry in history)
        write_text(self.run_folder(run_id) / "history.jsonl", lines)

    def read_history(self, run_id: str) -> list[StepEntry | EvalEntry]:
        """Return a run's history; an empty list where there is none."""
        path = self.run_folder(run_id) / "history.jsonl"
        entry: TypeAdapter[StepEntry | EvalEntry] = TypeAdapter(HistoryEntry)
        lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        return [entry.validate_json(line) for line in lines]

    def write_rungs(self, run_id: str, rungs: Sequence[Rung]) -> None:
        """Write a line per rung of a race that the run came to, if any."""
        if rungs:
            lines = "".join(rung.model_dump_json() + "\n" for rung in rungs)
            write_text(self.run_folder(run_id) / "rungs.jsonl", lines)

    def read_rungs(self, run_id: str) -> list[Rung]:
        """Return a run's rungs; an empty list where it was in no race.

        Raises UserError where the file is damaged.
        """
        path = self.run_folder(run_id) / "rungs.jsonl"
        try:
            lines = path.read_text("utf-8").splitlines() if path.is_file() else []
            return [Rung.model_validate_json(line) for line in lines]
        except ValueError as error:
            raise damaged(path, error) from None

    def write_losses(self, folder: Path, losses: FinalLosses) -> None:
        """Write the final losses of a run or of the base model into its folder."""
        write_text(folder / "losses.json", losses.model_dump_json() + "\n")

    def read_losses(self, folder: Path) -> FinalLosses | None:
        """Return the final losses in a run's or the base model's folder; None without any."""
        return _read(folder / "losses.json", FinalLosses)

    def adapter_folder(self, run_id: str) -> Path:
        """Where a run's adapter is, in PEFT's format."""
        return self.run_folder(run_id) / "adapter"

    def model_folder(self, run_id: str) -> Path:
        """Where a fully trained run's model is, as transformers loads it."""
        return self.run_folder(run_id) / "model"

    def write_model(self, run_id: str, save: Callable[[Path], None]) -> None:
        """Let `save` fill a folder aside, and put it in place as the run's model.

        Raises UserError where it cannot be written.
        """
        _write_weights(self.model_folder(run_id), save)

    def write_adapter(self, run_id: str, save: Callable[[Path], None]) -> None:
        """Let `save` fill a folder aside, and put it in place as the run's adapter.

        Raises UserError where it cannot be written.
        """
        _write_weights(self.adapter_folder(run_id), save)

    def predictions_file(self, folder: Path, decoder: str, role: str = "eval") -> Path:
        """Where a decoder's predictions are, in a run's or the base model's folder."""
        name = "predictions" if role == "eval" else f"{role}-predictions"
        return folder / name / f"{decoder}.parquet"

    def write_predictions(
        self, folder: Path, decoder: str, rows: Sequence[Prediction], role: str = "eval"
    ) -> None:
        """Write a decoder's predictions as parquet, and first draws as SQuAD's {id: answer}."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pylist([row.model_dump() for row in rows])
        place = self.predictions_file(folder, decoder, role)
        with replaced_file(place) as aside:
            pq.write_table(table, aside)
        write_json(
            place.with_suffix(".json"), {row.id: row.prediction for row in rows if row.draw == 0}
        )

    def read_predictions(self, folder: Path, decoder: str, role: str = "eval") -> list[Prediction]:
        """Return a decoder's predictions; an empty list where there are none.

        Raises UserError where the file is damaged.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        place = self.predictions_file(folder, decoder, role)
        try:
            rows = pq.read_table(place).to_pylist() if place.is_file() else []
            return [Prediction.model_validate(row) for row in rows]
        except (ValidationError, pa.ArrowException) as error:
            raise damaged(place, error) from None

    def write_results(self, results: Results) -> None:
        """Write results.json."""
        write_json(self.results_file, results.model_dump(mode="json", by_alias=True))

    def read_results(self) -> Results:
        """Return results.json; raises UserError where there is none yet."""
        results = _read(self.results_file, Results)
        if results is None:
            raise UserError(
                f"no results in {self.out}: run `lorasweep run STUDY --out {self.out}` first"
            )
        return results


def _read(path: Path, kind: type[R]) -> R | None:
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise UserError(f"{path.parent}: this is a file; a study needs a folder") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{path}: not readable as {kind.__name__}: {where}: {first['msg']}"
        ) from None


def damaged(path: Path, error: Exception) -> UserError:
    """Return the error for a run's file that cannot be read."""
    first = str(error).partition("\n")[0]
    return UserError(f"{path}: damaged, delete its run's folder and run again: {first}")


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with replaced_file(path) as aside:
        aside.write_text(text, encoding="utf-8")


def _write_weights(path: Path, save: Callable[[Path], None]) -> None:
    try:
        with replaced_folder(path) as aside:
            save(aside)
    except SafetensorError as error:
        # What its library raises where a disk is full, say.
        raise UserError(
            f"{path}: cannot be written: {error}; what is finished is kept, and the same command "
            "goes on"
        ) from None


@contextmanager
def replaced_file(path: Path) -> Iterator[Path]:
    """Give a path aside to write to; on success it takes the file's place, else it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.lorasweep.part")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """Give a folder aside to fill; on success it takes the folder's place, else it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.lorasweep.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        yield aside
        shutil.rmtree(path, ignore_errors=True)
        os.replace(aside, path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
