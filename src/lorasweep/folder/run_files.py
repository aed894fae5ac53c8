"""The files of one run, or of the untuned base model, but for its record."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from lorasweep.folder.files import (
    damaged,
    read_as,
    replaced_file,
    write_json,
    write_text,
    write_weights,
)
from lorasweep.folder.records import (
    EvalEntry,
    FinalLosses,
    HistoryEntry,
    Prediction,
    Rung,
    StepEntry,
)


class RunFiles:
    """What a run leaves in its folder; the base model has losses and predictions alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write_history(self, history: Iterable[StepEntry | EvalEntry]) -> None:
        """Write a line per logged step and per evaluation."""
        lines = "".join(entry.model_dump_json() + "\n" for entry in history)
        write_text(self.folder / "history.jsonl", lines)

    def read_history(self) -> list[StepEntry | EvalEntry]:
        """Return the history; an empty list where there is none."""
        path = self.folder / "history.jsonl"
        entry: TypeAdapter[StepEntry | EvalEntry] = TypeAdapter(HistoryEntry)
        lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        return [entry.validate_json(line) for line in lines]

    def write_rungs(self, rungs: Sequence[Rung]) -> None:
        """Write a line per rung of a race that the run came to, if any."""
        if rungs:
            lines = "".join(rung.model_dump_json() + "\n" for rung in rungs)
            write_text(self.folder / "rungs.jsonl", lines)

    def read_rungs(self) -> list[Rung]:
        """Return the rungs; an empty list where the run was in no race.

        Raises UserError where the file is damaged.
        """
        path = self.folder / "rungs.jsonl"
        try:
            lines = path.read_text("utf-8").splitlines() if path.is_file() else []
            return [Rung.model_validate_json(line) for line in lines]
        except ValueError as error:
            raise damaged(path, error) from None

    def write_losses(self, losses: FinalLosses) -> None:
        """Write the final losses."""
        write_text(self.folder / "losses.json", losses.model_dump_json() + "\n")

    def read_losses(self) -> FinalLosses | None:
        """Return the final losses; None without any."""
        return read_as(self.folder / "losses.json", FinalLosses)

    @property
    def adapter_folder(self) -> Path:
        """Where the adapter is, in PEFT's format."""
        return self.folder / "adapter"

    @property
    def model_folder(self) -> Path:
        """Where a fully trained model is, as transformers loads it."""
        return self.folder / "model"

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
        name = "predictions" if role == "eval" else f"{role}-predictions"
        return self.folder / name / f"{decoder}.parquet"

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
        """Return a decoder's predictions; an empty list where there are none.

        Raises UserError where the file is damaged.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        place = self.predictions_file(decoder, role)
        try:
            rows = pq.read_table(place).to_pylist() if place.is_file() else []
            return [Prediction.model_validate(row) for row in rows]
        except (ValidationError, pa.ArrowException) as error:
            raise damaged(place, error) from None
