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
- Loading, checks, the analysis and the report are left out: seconds to a minute a call.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lorasweep.records import BaseRecord, LockedPack, RunRecord, Scores
from lorasweep.stored import Stored

BYTES_A_TRAINED_NUMBER = 16
BILLION = 1e9


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

    `num_train` and `num_eval` are the questions of the study that was measured.
    """

    num_weights: int
    methods: dict[str, MethodCost]
    seconds_per_answer: float
    num_train: int
    num_eval: int


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


def work_of(pack: LockedPack) -> Work:
    """Return what a pack of a lock trains."""
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


def costs_of(records: Sequence[RunRecord], base: BaseRecord) -> Costs | None:
    """Return what finished packs and the base model's answers took; None where there are none.

    Packs with a run that failed, was stopped, or belongs to another study's part do not count.
    """
    packs = [pack for pack in _by_pack(records) if len(pack) == pack[0].pack.lanes]
    whole = [pack for pack in packs if all(run.state == "done" for run in pack)]
    if not whole:
        return None
    methods = dict.fromkeys(pack[0].configuration.method for pack in whole)
    return Costs(
        num_weights=base.num_parameters,
        methods={
            method: _method_cost(
                [p for p in whole if p[0].configuration.method == method], base.num_parameters
            )
            for method in methods
        },
        seconds_per_answer=_mean(answer_seconds(run) for pack in whole for run in pack),
        num_train=whole[0][0].num_train_questions,
        num_eval=num_evaluated(whole[0][0]),
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


def _by_pack(records: Iterable[RunRecord]) -> list[list[RunRecord]]:
    packs: dict[str, list[RunRecord]] = {}
    for record in records:
        packs.setdefault(record.pack.id, []).append(record)
    return list(packs.values())


def _method_cost(packs: Sequence[Sequence[RunRecord]], num_weights: int) -> MethodCost:
    works = [_work_of_records(pack) for pack in packs]
    done = sum(
        pack[0].num_train_questions * pack[0].num_epochs * _training(work, num_weights)
        for pack, work in zip(packs, works, strict=True)
    )
    largest = max(packs, key=lambda pack: pack[0].peak_memory_bytes)
    return MethodCost(
        seconds=sum(pack[0].pack.seconds for pack in packs) / done,
        peak_memory_bytes=largest[0].peak_memory_bytes,
        trained=sum(_work_of_records(largest).trained),
    )


def _work_of_records(pack: Sequence[RunRecord]) -> Work:
    trained = tuple(run.trainable_parameters for run in pack)
    return Work(pack[0].pack.id, pack[0].configuration.method, trained)


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
