"""The files of one run, or of the untuned base model, but for its record.

Whatever is read is held against the SHA-256 that the record has of it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import TypeAdapter

from lorasweep.errors import UserError
from lorasweep.folder.files import (
    replaced_file,
    write_json,
    write_text,
    write_weights,
)
from lorasweep.folder.records import EvalEntry, FinalLosses, HistoryEntry, Rung, StepEntry
from lorasweep.folder.scores import Prediction
from lorasweep.folder.sums import (
    HISTORY,
    LOSSES,
    RECORD,
    RUNGS,
    predictions_name,
    sums_in_record,
)
from lorasweep.hub.checksums import sha256_of


class RunFiles:
    """What a run leaves in its folder; the base model has losses and predictions alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder.parents[1] if folder.parent.name == "runs" else folder.parent

    @property
    def made_again(self) -> str:
        """What to do about a file that scoring makes."""
        return f"`lorasweep run STUDY --out {self.out}` makes it again"

    @property
    def trained_again(self) -> str:
        """What to do about a file that only training makes."""
        return (
            f"delete {self.folder}, then `lorasweep run STUDY --out {self.out}` trains the run "
            "again, or `lorasweep import` brings it in again"
        )

    def write_history(self, history: Iterable[StepEntry | EvalEntry]) -> None:
        """Write a line per logged step and per evaluation."""
        lines = "".join(entry.model_dump_json() + "\n" for entry in history)
        write_text(self.folder / HISTORY, lines)

    def read_history(self) -> list[StepEntry | EvalEntry]:
        """Return the history; an empty list where there is none.

        Raises UserError where the file is damaged, as all that read do.
        """
        entry: TypeAdapter[StepEntry | EvalEntry] = TypeAdapter(HistoryEntry)
        with self.reading(self.folder / HISTORY, self.trained_again) as path:
            return [entry.validate_json(line) for line in _lines(path)]

    def write_rungs(self, rungs: Sequence[Rung]) -> None:
        """Write a line per rung of a race that the run came to, if any."""
        if rungs:
            lines = "".join(rung.model_dump_json() + "\n" for rung in rungs)
            write_text(self.folder / RUNGS, lines)

    def read_rungs(self) -> list[Rung]:
        """Return the rungs; an empty list where the run was in no race."""
        with self.reading(self.folder / RUNGS, self.trained_again) as path:
            return [Rung.model_validate_json(line) for line in _lines(path)]

    def write_losses(self, losses: FinalLosses) -> None:
        """Write the final losses."""
        write_text(self.folder / LOSSES, losses.model_dump_json() + "\n")

    def read_losses(self) -> FinalLosses | None:
        """Return the final losses; None without any."""
        with self.reading(self.folder / LOSSES, self.made_again) as path:
            return FinalLosses.model_validate_json(path.read_bytes()) if path.is_file() else None

    @property
    def adapter_folder(self) -> Path:
        """Where the adapter is, in PEFT's format."""
        return self.folder / "adapter"

    @property
    def model_folder(self) -> Path:
        """Where a fully trained model is, as transformers loads it."""
        return self.folder / "model"

    def sound(self, weights: Path) -> Path:
        """Return the adapter's or the model's folder.

        Raises UserError where it is gone, or a file of it is gone or damaged.
        """
        known = [self.folder / name for name in sums_in_record(self.folder)]
        for path in [weights, *(path for path in known if weights in path.parents)]:
            if not path.exists():
                raise UserError(f"{path}: gone; {self.trained_again}")
            self._refuse_changed(path, self.trained_again)
        return weights

    def write_model(self, save: Callable[[Path], None]) -> None:
        """Let `save` fill a folder aside, and put it in place as the run's model.

        Raises UserError where it cannot be written.
        """
        write_weights(self.model_folder, save)

    def write_adapter(self, save: Callable[[Path], None]) -> None:
        """Let `save` fill a folder aside, and put it in place as the run's adapter.

        Raises UserError where it cannot be written.
        """
        write_weights(self.adapter_folder, save)

    def predictions_file(self, decoder: str, role: str = "eval") -> Path:
        """Where a decoder's predictions are."""
        return self.folder / predictions_name(decoder, role)

    def write_predictions(
        self, decoder: str, rows: Sequence[Prediction], role: str = "eval"
    ) -> None:
        """Write a decoder's predictions as parquet, and first draws as SQuAD's {id: answer}."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pylist([row.model_dump() for row in rows])
        place = self.predictions_file(decoder, role)
        with replaced_file(place) as aside:
            pq.write_table(table, aside)
        write_json(
            place.with_suffix(".json"), {row.id: row.prediction for row in rows if row.draw == 0}
        )

    def read_predictions(self, decoder: str, role: str = "eval") -> list[Prediction]:
        """Return a decoder's predictions; an empty list where there are none."""
        import pyarrow.parquet as pq

        with self.reading(self.predictions_file(decoder, role), self.made_again) as place:
            rows = pq.read_table(place).to_pylist() if place.is_file() else []
            return [Prediction.model_validate(row) for row in rows]

    def has_predictions(self, decoder: str, role: str) -> bool:
        """Say whether a decoder's predictions are there, and sound."""
        try:
            return bool(self.read_predictions(decoder, role))
        except UserError:
            return False

    def has_losses(self) -> bool:
        """Say whether the final losses are there, and sound."""
        try:
            return self.read_losses() is not None
        except UserError:
            return False

    @contextmanager
    def reading(self, path: Path, remedy: str) -> Iterator[Path]:
        """Give a file to read; UserError where its record knows it otherwise, or reading fails."""
        self._refuse_changed(path, remedy)
        try:
            yield path
        except PermissionError:
            raise
        except Exception as error:  # whatever a damaged file makes pyarrow or pydantic raise
            first = str(error).partition("\n")[0]
            raise UserError(f"{path}: damaged ({first}); {remedy}") from None

    def _refuse_changed(self, path: Path, remedy: str) -> None:
        """Raise UserError where a file is not what it was when the record was written."""
        known = sums_in_record(self.folder).get(path.relative_to(self.folder).as_posix())
        if known is not None and path.is_file() and sha256_of(path) != known:
            raise UserError(
                f"{path}: damaged (its SHA-256 is not the one in {RECORD} beside it); {remedy}"
            )


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines() if path.is_file() else []
