"""A short calibration: a few real training steps and answers of a study, timed on this machine."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from lorasweep.console.progress import Reporter
from lorasweep.console.stopping import stop_switch
from lorasweep.data.cuts import longest_row
from lorasweep.data.trees import Forest, Tree
from lorasweep.errors import UserError
from lorasweep.folder.files import write_json
from lorasweep.folder.halving import cut_in_half, parts_of
from lorasweep.folder.records import Lock, LockedPack, RunRecord
from lorasweep.folder.store import Store
from lorasweep.forecast.estimate import Costs, costs_of
from lorasweep.forecast.remaining import calibration_file
from lorasweep.running.executors.local import HERE
from lorasweep.running.locking import agree
from lorasweep.running.prepare import Prepared, prepare
from lorasweep.running.question_sets import TRAIN_SAMPLE
from lorasweep.running.worker.jobs import FinishedRun, Job, job_of
from lorasweep.running.worker.worker import Worker
from lorasweep.study.study import Study

NUM_TRAIN, NUM_EVAL, BATCH_SIZE = 24, 12, 8


def calibrate(study: Study, reporter: Reporter) -> Costs:
    """Train the largest pack of each method for three small steps, let it answer, and time both.

    The costs are kept in the machine's cache, where later plans find them. Raises UserError for a
    study that cannot be run, and where every run failed.
    """
    prepared = prepare(study)
    reporter.note(f"calibrating: {NUM_TRAIN} questions of training and {NUM_EVAL} to answer")
    with TemporaryDirectory() as folder, stop_switch(reporter.note) as stop:
        lock = agree(Store(Path(folder)), prepared)
        job = _short(job_of(prepared, lock, Path(folder)))
        worker = Worker(job, reporter, stop)
        base = worker.base_record()
        records = [
            finished.record
            for pack in largest_packs(lock.packs)
            for finished in _run(worker, lock, pack)
        ]
    costs = _costs_of_whole(records, costs_of(records, base), prepared, job)
    write_json(calibration_file(study, lock.device), costs.model_dump())
    return costs


def _run(worker: Worker, lock: Lock, pack: LockedPack) -> list[FinishedRun]:
    """Run a pack, in halves where memory does not hold it, as the study itself will be."""
    longest = longest_row(worker.loaded.trees["train"])

    def halve(part: LockedPack, why: str) -> list[LockedPack]:
        nonlocal lock
        lock = cut_in_half(lock, part, why, longest)
        return parts_of(lock, part)

    return [run for finished in HERE.run_packs(worker, [pack], {}, halve) for run in finished]


def _costs_of_whole(
    records: Sequence[RunRecord], measured: Costs | None, prepared: Prepared, job: Job
) -> Costs:
    """Return the costs for all of a study's questions, whose mean length is not the sample's."""
    if measured is None:
        raise UserError(f"the calibration failed: {', '.join(run.state for run in records)}")
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
