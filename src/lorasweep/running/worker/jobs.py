"""What goes into a worker and what comes out of it: plain data, nothing of it on disk yet."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lorasweep.folder.records import (
    EvalEntry,
    FinalLosses,
    Lock,
    LockedPack,
    LockedRun,
    PackInfo,
    Rung,
    RunRecord,
    StepEntry,
)
from lorasweep.folder.scores import Prediction, Scores
from lorasweep.folder.store import Store
from lorasweep.model.full import SavedModel
from lorasweep.model.lora import Lane
from lorasweep.model.machine import Precision, versions
from lorasweep.model.peft_format import SavedAdapter
from lorasweep.running.prepare import Prepared
from lorasweep.running.question_sets import QuestionSet
from lorasweep.study import sections
from lorasweep.study.sections import Evaluate, Recipe
from lorasweep.training.hooks import Trained
from lorasweep.training.race import Race
from lorasweep.training.train import last_epoch_loss


@dataclass(frozen=True)
class RaceJob:
    """A race as a worker needs to know it: its rule, its runs' names by id, and their folder."""

    rule: sections.Race
    names: dict[str, str]
    out: Path


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
    race: RaceJob | None = None
    num_packs: int = 1


def job_of(prepared: Prepared, lock: Lock, checkpoints: Path) -> Job:
    """Return what a worker is told of a study, as its folder's lock has decided."""
    study = prepared.study
    return Job(
        base=study.model.base,
        folder=prepared.folder,
        note=prepared.note,
        recipe=study.recipe,
        evaluate=_as_decided(study.evaluate, lock),
        sets=prepared.sets,
        precision=lock.precision,
        device=lock.device,
        threads=lock.threads,
        micro_tokens=lock.micro_tokens,
        checkpoints=checkpoints,
        checkpoint_minutes=study.pack.checkpoint_minutes,
        num_packs=len({number_of(pack) for pack in lock.packs}),
    )


def title_of(pack: LockedPack, labels: Sequence[str], job: Job) -> str:
    """Return what people call a pack: "pack 1 of 13"; halves have letters, a lone run its label."""
    number = number_of(pack)
    if number is None:
        return labels[0]
    letters = pack.id.removeprefix(f"pack-{number}")
    return f"pack {number + 1}{letters} of {max(job.num_packs, number + 1)}"


def number_of(pack: LockedPack) -> int | None:
    """Return a pack's place in its study, from 0; None of one in which a single run is resumed."""
    found = re.match(r"pack-(\d+)", pack.id)
    return int(found[1]) if found else None


def _as_decided(evaluate: Evaluate, lock: Lock) -> Evaluate:
    """Return how answers are made: decoders of before that sample draw as they did, called or not.

    A study without such decoders may say otherwise, as it does not use them.
    """
    names = ("draws", "seed")
    decided = {name: lock.facts.get(f"evaluate.{name}") for name in names}
    return evaluate.model_copy(update={n: v for n, v in decided.items() if v is not None})


@dataclass(frozen=True)
class FinishedRun:
    """A run's record with its history and predictions by decoder, not yet on disk.

    It has an adapter, or a model where that was trained in full; a failed run has neither, and
    one that lost a race neither before it is resumed.
    """

    record: RunRecord
    history: list[StepEntry | EvalEntry]
    adapter: SavedAdapter | None = None
    model: SavedModel | None = None
    predictions: dict[str, list[Prediction]] = field(default_factory=dict)
    rungs: list[Rung] = field(default_factory=list)
    losses: FinalLosses | None = None


@dataclass(frozen=True)
class Scored:
    """Metrics of one adapter, or of the base model, its predictions by decoder, and its losses."""

    metrics: dict[str, Scores | float]
    predictions: dict[str, list[Prediction]]
    losses: FinalLosses | None = None


def lane_of(run: LockedRun) -> Lane:
    """Return what a run asks of its lane."""
    c = run.configuration
    assert c.rank, "full fine-tuning has no rank, scale or dropout"
    assert run.scale
    assert c.dropout is not None
    assert c.lr_ratio
    return Lane(tuple(run.modules), c.rank, run.scale, c.lr, c.dropout, c.seed, c.lr_ratio)


def race_of(job: RaceJob, pack: LockedPack) -> Race:
    """Return a pack's race, in which it meets all runs that earlier packs have finished."""
    own, store = [run.id for run in pack.runs], Store(job.out)
    rivals = {run: store.of_run(run).read_rungs() for run in job.names if run not in own}
    return Race(job.rule, own, rivals, job.names, len(job.names))


def records_of(
    job: Job,
    pack: LockedPack,
    labels: Sequence[str],
    trained: Trained,
    peak: int,
    scored: Mapping[int, Scored],
) -> list[RunRecord]:
    """Return the record of each run; one that did not come to the end has no metrics."""
    info = PackInfo(id=pack.id, lanes=len(pack.runs), seconds=trained.seconds)
    return [
        RunRecord(
            **run.model_dump(exclude={"configuration"}),
            configuration=run.configuration,
            label=label,
            state=trained.state(place),
            num_train_questions=job.sets["train"].forest.num_questions,
            num_epochs=job.recipe.epochs,
            num_steps=trained.num_steps,
            pack=info,
            train_seconds=trained.lane_seconds[place],
            peak_memory_bytes=peak,
            train_loss=last_epoch_loss(trained.histories[place]),
            metrics=scored[place].metrics if place in scored else {},
            failure=trained.failures[place],
            stop=trained.stops[place],
            precision=job.precision,
            versions=versions(),
        )
        for place, (run, label) in enumerate(zip(pack.runs, labels, strict=True))
    ]
