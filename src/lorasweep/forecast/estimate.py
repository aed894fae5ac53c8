"""How long packs will take and how much memory, from packs that were measured.

The model, and what it leaves out:

- **Training** a question takes, for each token, 4 N + 6 P multiply-adds a lane: forward (N + P) and
  back to the inputs (N + P) through N frozen weights and P of an adapter, and the gradients of the
  adapter's (P), times two for the two operations of each (Kaplan et al. 2020, arXiv:2001.08361,
  section 2.1). Full fine-tuning takes 6 N. Seconds are proportional to their sum over lanes,
  questions and epochs; the rate is a mean over what was measured, a method at a time. Tokens cancel
  out, since a study's questions are of one length on average. Attention, the head, and how well
  narrow adapters use a machine are in the rate.
- **The evaluation loss** after each epoch is a forward pass, 2 N + 2 P, at the same rate.
- **Answers** take the measured seconds a question and lane.
- **Memory** is the measured peak, and 16 bytes for each number trained more, or less: its value and
  gradient and AdamW's two moments. Activations are bounded by the micro-batch, whatever the pack.
- **A call's own time**: start, loading and check take what a calibration measured, else
  START_SECONDS; the analysis and the report REPORT_SECONDS and more for each run. These are round
  figures of a processor with two cores.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lorasweep.folder.records import BaseRecord, LockedPack, RunRecord
from lorasweep.folder.scores import Scores
from lorasweep.folder.stored import Stored
from lorasweep.study.plan import Pack

BYTES_A_TRAINED_NUMBER = 16
BILLION = 1e9
START_SECONDS = 20.0
REPORT_SECONDS, REPORT_SECONDS_A_RUN = 10.0, 0.5


@dataclass(frozen=True, slots=True)
class Work:
    """What a pack trains: its method, and the trained numbers of each lane."""

    pack: str
    method: str
    trained: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Size:
    """Questions trained on and scored on, and epochs."""

    num_train: int
    num_eval: int
    epochs: int


class MethodCost(Stored):
    """What training by one method took: seconds a question and billion multiply-adds a token.

    `trained` are the numbers of all lanes of the pack with the highest peak.
    """

    seconds: float
    peak_memory_bytes: int
    trained: int


class Costs(Stored):
    """What was measured, of a base model of `num_weights`; seconds of answers by all decoders.

    `num_train` and `num_eval` are the questions of the study that was measured; `start_seconds`
    is what loading and the check took, None where only packs were measured.
    """

    num_weights: int
    methods: dict[str, MethodCost]
    seconds_per_answer: float
    num_train: int
    num_eval: int
    start_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds of a pack's training with its evaluations and of its answers, and peak memory."""

    pack: str
    train_seconds: float
    answer_seconds: float
    peak_memory_bytes: int

    @property
    def seconds(self) -> float:
        """Seconds of both."""
        return self.train_seconds + self.answer_seconds


def work_of(pack: Pack | LockedPack) -> Work:
    """Return what a pack trains, planned or locked."""
    method = pack.runs[0].configuration.method
    return Work(pack.id, method, tuple(run.trainable_parameters for run in pack.runs))


def estimate(work: Work, size: Size, costs: Costs) -> Estimate | None:
    """Estimate a pack; None where nothing of its method was measured."""
    cost = costs.methods.get(work.method)
    if cost is None:
        return None
    train = size.num_train * _training(work, costs.num_weights)
    evaluation = size.num_eval * _forward(work, costs.num_weights)
    more = sum(work.trained) - cost.trained
    return Estimate(
        work.pack,
        train_seconds=cost.seconds * size.epochs * (train + evaluation),
        answer_seconds=costs.seconds_per_answer * size.num_eval * len(work.trained),
        peak_memory_bytes=cost.peak_memory_bytes + BYTES_A_TRAINED_NUMBER * more,
    )


def call_seconds(num_runs: int, costs: Costs) -> float:
    """Estimate a call's time beside packs and answers: start, check, analysis and report."""
    start = START_SECONDS if costs.start_seconds is None else costs.start_seconds
    return start + REPORT_SECONDS + REPORT_SECONDS_A_RUN * num_runs


def base_seconds(size: Size, costs: Costs) -> float:
    """Estimate the base model's losses and answers, which come before all packs."""
    rates = [cost.seconds for cost in costs.methods.values()]
    losses = size.num_eval * 2 * costs.num_weights / BILLION * min(rates, default=0.0)
    return losses + costs.seconds_per_answer * size.num_eval


def costs_of(records: Sequence[RunRecord], base: BaseRecord) -> Costs | None:
    """Return what training and answers took; None where no run has come to its end.

    Of a run that lost a race, the part that was trained counts; one that failed does not.
    """
    done = [run for run in records if run.state == "done"]
    if not done:
        return None
    trained = [run for run in records if run.state != "failed"]
    methods = dict.fromkeys(run.configuration.method for run in trained)
    return Costs(
        num_weights=base.num_parameters,
        methods={
            method: _method_cost(
                [run for run in trained if run.configuration.method == method], base.num_parameters
            )
            for method in methods
        },
        seconds_per_answer=_mean(answer_seconds(run) for run in done),
        num_train=done[0].num_train_questions,
        num_eval=num_evaluated(done[0]),
    )


def with_progress(costs: Costs, work: Work, size: Size, seconds: float) -> Costs:
    """Add what a pack at work is on the way to take, if its method was not measured before.

    `seconds` are those of all its steps, at its present pace.
    """
    if work.method in costs.methods:
        return costs
    done = size.num_train * size.epochs * _training(work, costs.num_weights)
    cost = MethodCost(seconds=seconds / done, peak_memory_bytes=0, trained=sum(work.trained))
    return costs.model_copy(update={"methods": {**costs.methods, work.method: cost}})


def _method_cost(runs: Sequence[RunRecord], num_weights: int) -> MethodCost:
    largest = max(runs, key=lambda run: run.peak_memory_bytes)
    beside = [run.trainable_parameters for run in runs if run.pack.id == largest.pack.id]
    return MethodCost(
        seconds=sum(run.train_seconds for run in runs)
        / sum(_work_done(run, num_weights) for run in runs),
        peak_memory_bytes=largest.peak_memory_bytes,
        # Of a pack's lanes some may have failed, or be no part of the study any more.
        trained=round(largest.pack.lanes * _mean(beside)),
    )


def _work_done(run: RunRecord, num_weights: int) -> float:
    """Return billions of multiply-adds a token, times the questions that a run was trained on."""
    work = Work(run.pack.id, run.configuration.method, (run.trainable_parameters,))
    share = share_trained(run) * run.num_train_questions * run.num_epochs
    return share * _training(work, num_weights)


def share_trained(run: RunRecord) -> float:
    """Return the share of its steps that an ended run was trained for, 0 to 1."""
    end = {"failed": run.failure, "stopped": run.stop}.get(run.state)
    return end.step / run.num_steps if end is not None and run.num_steps else 1.0


def _training(work: Work, num_weights: int) -> float:
    """Return billions of multiply-adds a token of training, for all lanes."""
    if work.method == "full":
        return 6 * num_weights * len(work.trained) / BILLION
    return sum(4 * num_weights + 6 * trained for trained in work.trained) / BILLION


def _forward(work: Work, num_weights: int) -> float:
    """Return billions of multiply-adds a token of a forward pass, for all lanes."""
    adapters = 0 if work.method == "full" else sum(work.trained)
    return 2 * (num_weights * len(work.trained) + adapters) / BILLION


def answer_seconds(record: RunRecord | BaseRecord) -> float:
    """Return the seconds that an answer by each of the decoders took together."""
    scores = [found for found in record.metrics.values() if isinstance(found, Scores)]
    return sum(found.seconds_per_question or 0.0 for found in scores)


def num_evaluated(record: RunRecord | BaseRecord) -> int:
    """Return the questions that a record was scored on; 0 where it was not."""
    scores = [found for found in record.metrics.values() if isinstance(found, Scores)]
    return scores[0].num_questions if scores else 0


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)
