"""Checkpoints of a pack in training: one safetensors file each, the newest two kept.

A checkpoint is taken between steps. What is random follows from (seed, step), so the position is
enough to go on with the same bits: data order and dropout need no state of their own.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import BaseModel
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lorasweep.errors import UserError
from lorasweep.folder.files import replaced_file
from lorasweep.folder.heartbeat import CHECKPOINTS
from lorasweep.folder.records import EvalEntry, Failure, Rung, StepEntry, Stop

KEPT = 2


class Progress(BaseModel):
    """How far a pack has come: steps and epochs evaluated, and what each lane has logged.

    `places` are the lanes that the tensors hold, by their places in the pack as it was planned, and
    `lane_seconds` each run's share of the time; None in checkpoints of before races.
    """

    identity: str
    num_steps_done: int
    seconds: float
    peak_memory_bytes: int
    histories: list[list[StepEntry | EvalEntry]]
    failures: list[Failure | None]
    places: list[int] | None = None
    lane_seconds: list[float] | None = None
    rungs: list[list[Rung]] | None = None
    stops: list[Stop | None] | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A pack's progress and its tensors (adapters and optimizer state)."""

    progress: Progress
    tensors: dict[str, Tensor]


class Checkpoints:
    """The checkpoints of one pack in a folder, at most one every `minutes`.

    `identity` names the pack's runs: a checkpoint of other runs is never read.
    """

    def __init__(self, folder: Path, identity: str, minutes: float,
                 on_trouble: Callable[[str], None],
                 on_saved: Callable[[Path], None] = lambda _: None) -> None:  # fmt: skip
        self.folder, self.identity, self.seconds = folder, identity, 60 * minutes
        self.on_trouble, self.on_saved = on_trouble, on_saved
        self.last = time.monotonic()

    def due(self) -> bool:
        """Say whether the interval has passed since the last one."""
        return time.monotonic() - self.last >= self.seconds

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint and drop all but the newest two; trouble is told, not raised."""
        try:
            place = self._write(checkpoint)
        except (OSError, SafetensorError) as error:
            self.on_trouble(f"warning: no checkpoint written, training goes on: {error}")
            return
        self.on_saved(place)

    def set_aside(self, checkpoint: Checkpoint) -> None:
        """Write the state of a run that is stopped for now; raises UserError where that fails."""
        own = checkpoint.progress.model_copy(update={"identity": self.identity})
        try:
            self._write(Checkpoint(own, checkpoint.tensors))
        except (OSError, SafetensorError) as error:
            raise UserError(f"{self.folder}: a stopped run cannot be kept here: {error}") from None

    def _write(self, checkpoint: Checkpoint) -> Path:
        self.last = time.monotonic()
        place = self.folder / f"step-{checkpoint.progress.num_steps_done:08d}.safetensors"
        progress = checkpoint.progress.model_dump_json()
        metadata = {"progress": progress, "sum": _sum(progress, checkpoint.tensors)}
        with replaced_file(place) as aside:
            save_file(checkpoint.tensors, aside, metadata=metadata)
        _drop_old(self.folder)
        return place

    def newest(self) -> Checkpoint | None:
        """Return the newest readable checkpoint of these runs, or None."""
        for file in checkpoint_files(self.folder):
            try:
                found = read_checkpoint(file)
            except UserError as error:
                self.on_trouble(f"warning: {error}; an older one is taken, or a new start made")
                continue
            if found.progress.identity == self.identity:
                return found
        return None


def checkpoint_files(folder: Path) -> list[Path]:
    """Return a pack's checkpoint files, the newest first."""
    return sorted(folder.glob(CHECKPOINTS), reverse=True)


def put_checkpoint(folder: Path, name: str, content: bytes) -> None:
    """Write a checkpoint file that was made elsewhere; all but the newest two are dropped."""
    with replaced_file(folder / name) as aside:
        aside.write_bytes(content)
    _drop_old(folder)


def _drop_old(folder: Path) -> None:
    for old in checkpoint_files(folder)[KEPT:]:
        old.unlink(missing_ok=True)


def read_checkpoint(file: Path) -> Checkpoint:
    """Read a checkpoint file; raises UserError where it is damaged.

    Files of before have no sum to be held against.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        progress = Progress.model_validate_json(metadata["progress"])
    except (OSError, SafetensorError, ValueError, KeyError, RuntimeError) as error:
        first = str(error).partition("\n")[0]
        raise UserError(f"{file}: damaged ({first})") from None
    # A key of another name may be one whose letters were damaged.
    expected = {"progress": metadata["progress"]}
    if metadata not in (expected, expected | {"sum": _sum(metadata["progress"], tensors)}):
        raise UserError(f"{file}: damaged (its SHA-256 is not the one that it holds)")
    return Checkpoint(progress, tensors)


def is_summed(file: Path) -> bool:
    """Say whether a readable checkpoint holds a sum of what is in it; those of before do not."""
    with safe_open(file, framework="pt") as opened:
        return "sum" in (opened.metadata() or {})


def _sum(progress: str, tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of a checkpoint's progress, and of its tensors with names and shapes."""
    total = hashlib.sha256(progress.encode())
    for name, tensor in sorted(tensors.items()):
        total.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        numbers = tensor.detach().cpu().contiguous().reshape(-1)
        total.update(numbers.view(torch.uint8).numpy().data)
    return total.hexdigest()
