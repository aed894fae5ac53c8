"""What goes into a worker and what comes out of it: plain data, nothing of it on disk yet."""

from dataclasses import dataclass, field
from pathlib import Path

from lorasweep.full import SavedModel
from lorasweep.lora import Lane
from lorasweep.machine import Precision
from lorasweep.peft_format import SavedAdapter
from lorasweep.prepare import Prepared, QuestionSet
from lorasweep.records import EvalEntry, Lock, LockedRun, Prediction, RunRecord, Scores, StepEntry
from lorasweep.study import Evaluate, Recipe


@dataclass(frozen=True)
class Job:
    """All that a worker needs to know; plain data that may be sent to another process."""

    base: str
    folder: Path
    note: str
    recipe: Recipe
    evaluate: Evaluate
    sets: dict[str, QuestionSet]
    precision: Precision
    device: str
    threads: int
    micro_tokens: int
    checkpoints: Path
    checkpoint_minutes: float


def job_of(prepared: Prepared, lock: Lock, checkpoints: Path) -> Job:
    """Return what a worker is told of a study, as its folder's lock has decided."""
    study = prepared.study
    return Job(
        base=study.model.base,
        folder=prepared.folder,
        note=prepared.note,
        recipe=study.recipe,
        evaluate=study.evaluate,
        sets=prepared.sets,
        precision=lock.precision,
        device=lock.device,
        threads=lock.threads,
        micro_tokens=lock.micro_tokens,
        checkpoints=checkpoints,
        checkpoint_minutes=study.pack.checkpoint_minutes,
    )


@dataclass(frozen=True)
class FinishedRun:
    """A run's record with its history and predictions by decoder, not yet on disk.

    It has an adapter, or a model where that was trained in full; a failed run has neither.
    """

    record: RunRecord
    history: list[StepEntry | EvalEntry]
    adapter: SavedAdapter | None = None
    model: SavedModel | None = None
    predictions: dict[str, list[Prediction]] = field(default_factory=dict)


@dataclass(frozen=True)
class Scored:
    """Metrics of one adapter, or of the base model, and its predictions by decoder."""

    metrics: dict[str, Scores | float]
    predictions: dict[str, list[Prediction]]


def lane_of(run: LockedRun) -> Lane:
    """Return what a run asks of its lane."""
    c = run.configuration
    assert c.rank, "full fine-tuning has no rank, scale or dropout"
    assert run.scale
    assert c.dropout is not None
    assert c.lr_ratio
    return Lane(tuple(run.modules), c.rank, run.scale, c.lr, c.dropout, c.seed, c.lr_ratio)
