"""A short calibration: a few real training steps and answers of a study, timed on this machine."""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from lorasweep.console.progress import Pace, Reporter, Silent
from lorasweep.console.stopping import stop_switch
from lorasweep.data.cuts import longest_row
from lorasweep.data.trees import Forest, Tree
from lorasweep.errors import UserError
from lorasweep.folder.files import write_json
from lorasweep.folder.halving import cut_in_half, parts_of
from lorasweep.folder.records import BaseRecord, Lock, LockedPack, RunRecord
from lorasweep.folder.store import Store
from lorasweep.forecast.estimate import Costs, Size, costs_of, with_progress, work_of
from lorasweep.forecast.remaining import calibration_file
from lorasweep.model.machine import peak_memory_bytes
from lorasweep.running.executors.local import HERE
from lorasweep.running.locking import agree, planned_ids
from lorasweep.running.prepare import Prepared, prepare
from lorasweep.running.question_sets import TRAIN_SAMPLE
from lorasweep.running.worker.jobs import FinishedRun, Job, job_of
from lorasweep.running.worker.worker import Worker
from lorasweep.study.study import Study

NUM_TRAIN, NUM_EVAL, BATCH_SIZE = 24, 12, 8
BOUND_SECONDS = 120.0


class TimeIsUpError(Exception):
    """Raised at the first step behind a calibration's bound."""


class Watch(Silent):
    """Hears of the jobs of a calibration and passes them on; ends them when time is up."""

    def __init__(self, reporter: Reporter, ends: float) -> None:
        self.reporter, self.ends = reporter, ends
        self.jobs: list[Pace] = []

    def note(self, text: str) -> None:
        """Pass it on."""
        self.reporter.note(text)

    def start(self, job: str, total: int) -> None:
        """Time a job."""
        self.jobs.append(Pace(job, total))
        self.reporter.start(job, total)

    def advance(self, amount: int, detail: str = "") -> None:
        """Raise TimeIsUpError behind the bound; at least this step was timed."""
        self.jobs[-1].done += amount
        self.reporter.advance(amount, detail)
        if time.monotonic() > self.ends:
            self.finish()
            raise TimeIsUpError

    def finish(self) -> None:
        """Stop its clock, and pass it on."""
        self.jobs[-1].stop()
        self.reporter.finish()


def calibrate(study: Study, reporter: Reporter, bound: float = BOUND_SECONDS) -> Costs:
    """Train the largest pack of each method for three small steps, let it answer, and time both.

    It stops at the first step after `bound` seconds with what was measured until then. The costs
    are kept in the machine's cache, where later plans find them. Raises UserError for a study that
    cannot be run, and where every run failed.
    """
    began = time.monotonic()
    watch = Watch(reporter, began + bound)
    prepared = prepare(study)
    reporter.note(
        f"calibrating: {NUM_TRAIN} questions of training and {NUM_EVAL} to answer, "
        f"for {bound:.0f} s at most and the step that is taken then"
    )
    with TemporaryDirectory() as folder, stop_switch(reporter.note) as stop:
        lock = agree(Store(Path(folder)), prepared)
        job = _short(job_of(prepared, lock, Path(folder)))
        worker = Worker(job, watch, stop)
        base = worker.base_record()
        loaded = time.monotonic() - began
        measured = _measured(worker, lock, base, labels_by_id(prepared, lock), watch)
    costs = _costs_of_whole(measured, prepared, job).model_copy(update={"start_seconds": loaded})
    _keep(calibration_file(study, lock.device), costs, reporter)
    return costs


def labels_by_id(prepared: Prepared, lock: Lock) -> dict[str, str]:
    """Return what a study's runs are called."""
    ids = planned_ids(prepared, lock.precision)
    return {i: run.label for i, run in zip(ids, prepared.plan.runs, strict=True)}


def _measured(
    worker: Worker, lock: Lock, base: BaseRecord, labels: Mapping[str, str], watch: Watch
) -> Costs:
    """Return what the largest packs cost, as far as there is time for them."""
    records: list[RunRecord] = []
    costs: Costs | None = None
    answer = _seconds_of_an_answer(worker, watch)
    for pack in largest_packs(lock.packs):
        watch.jobs.clear()
        try:
            records += [run.record for run in _run(worker, lock, pack, labels)]
            costs = costs_of(records, base)
        except TimeIsUpError:
            watch.note("time is up: what was measured until now is taken")
            return _with_part(costs or _of_answers(base, answer), pack, watch.jobs)
    if costs is None:
        raise UserError(f"the calibration failed: {', '.join(run.state for run in records)}")
    return costs


def _seconds_of_an_answer(worker: Worker, watch: Watch) -> float:
    """Return what the base model's answer by all decoders takes: what is known if time is short."""
    decoders = worker.job.evaluate.decoders
    with suppress(TimeIsUpError):
        list(worker.score_base(decoders, "eval"))
    took = [job.seconds / job.done for job in watch.jobs if job.done]
    return sum(took) / len(took) * len(decoders)


def _of_answers(base: BaseRecord, seconds: float) -> Costs:
    return Costs(
        num_weights=base.num_parameters, methods={}, seconds_per_answer=seconds, num_train=0,
        num_eval=0,
    )  # fmt: skip


def _with_part(costs: Costs, pack: LockedPack, jobs: Sequence[Pace]) -> Costs:
    """Add what the steps cost that a pack took before time was up."""
    train, method = jobs[0], pack.runs[0].configuration.method
    costs = with_progress(costs, work_of(pack), Size(train.done, 0, 1), train.seconds)
    cost = costs.methods[method].model_copy(update={"peak_memory_bytes": peak_memory_bytes()})
    return costs.model_copy(update={"methods": {**costs.methods, method: cost}})


def _keep(file: Path, costs: Costs, reporter: Reporter) -> None:
    """Keep what was measured; a cache that takes nothing loses it for later plans alone."""
    try:
        write_json(file, costs.model_dump())
    except OSError as error:
        reporter.note(f"warning: not kept for later plans: {file}: {error.strerror or error}")


def _run(
    worker: Worker, lock: Lock, pack: LockedPack, labels: Mapping[str, str]
) -> list[FinishedRun]:
    """Run a pack, in halves where memory does not hold it, as the study itself will be."""
    longest = longest_row(worker.loaded.trees["train"])

    def halve(part: LockedPack, why: str) -> list[LockedPack]:
        nonlocal lock
        lock = cut_in_half(lock, part, why, longest)
        return parts_of(lock, part)

    return [run for finished in HERE.run_packs(worker, [pack], labels, halve) for run in finished]


def _costs_of_whole(measured: Costs, prepared: Prepared, job: Job) -> Costs:
    """Return the costs for all of a study's questions, whose mean length is not the sample's."""
    trees = prepared.sets["train"].forest.trees
    longer = _tokens_a_question(trees) / _tokens_a_question(job.sets["train"].forest.trees)
    return measured.model_copy(
        update={
            "methods": {
                method: cost.model_copy(update={"seconds": cost.seconds * longer})
                for method, cost in measured.methods.items()
            },
            "num_train": prepared.cards["train"].questions,
            "num_eval": prepared.cards["eval"].questions,
        }
    )


def largest_packs(packs: Sequence[LockedPack]) -> list[LockedPack]:
    """Return the pack of each method that trains the most numbers, full fine-tuning last."""
    largest: dict[str, LockedPack] = {}
    for pack in sorted(packs, key=lambda p: sum(run.trainable_parameters for run in p.runs)):
        largest[pack.runs[0].configuration.method] = pack
    return [largest[method] for method in sorted(largest, reverse=True)]


def _short(job: Job) -> Job:
    counts = {"train": NUM_TRAIN, "eval": NUM_EVAL, TRAIN_SAMPLE: NUM_EVAL}
    sets = {
        role: replace(job.sets[role], forest=sample_of(job.sets[role].forest, count))
        for role, count in counts.items()
    }
    size = min(BATCH_SIZE, job.recipe.batch_size)
    recipe = job.recipe.model_copy(update={"epochs": 1, "batch_size": size})
    return replace(job, sets=sets, recipe=recipe)


def sample_of(forest: Forest, num_questions: int) -> Forest:
    """Return trees from all over a forest that hold about so many questions.

    The longest is among them: it decides the peak of memory.
    """
    trees = forest.trees
    wanted = min(len(trees), -(-num_questions * len(trees) // forest.num_questions))
    longest = max(range(len(trees)), key=lambda i: trees[i].num_tokens)
    picked = {longest, *(i * len(trees) // wanted for i in range(1, wanted))}
    return Forest(tuple(trees[i] for i in sorted(picked)))


def _tokens_a_question(trees: Iterable[Tree]) -> float:
    found = list(trees)
    return sum(tree.num_tokens for tree in found) / sum(len(tree.branches) for tree in found)
