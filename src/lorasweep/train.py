"""The training loop of a pack: K lanes in lockstep over the same batches of trees.

Shapes: K lanes, N supervised positions of a micro-batch, V vocabulary.
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from lorasweep.base import Base
from lorasweep.lora import Adapters, TreeDropout
from lorasweep.optimizer import LaneAdamW, clip_lanes, schedule_factor
from lorasweep.records import EvalEntry, Failure, StepEntry
from lorasweep.study import Recipe
from lorasweep.trees import Rows, Tree, batches, lay_out, micro_batches

OnStep = Callable[["StepEvent"], None]


@dataclass(frozen=True, slots=True)
class StepEvent:
    """What a step of a pack tells whoever shows progress."""

    step: int
    num_steps: int
    num_questions: int
    losses: tuple[float, ...]


@dataclass(slots=True)
class Trained:
    """What a pack's training leaves beside its adapters: histories and failures per lane."""

    num_steps: int
    seconds: float
    histories: list[list[StepEntry | EvalEntry]] = field(default_factory=list)
    failures: list[Failure | None] = field(default_factory=list)


def epoch_order(trees: Sequence[Tree], seed: int, epoch: int) -> list[Tree]:
    """Return the trees in the order of one epoch, decided by the run's seed and the tree's id."""

    def key(tree: Tree) -> str:
        return hashlib.sha256(f"{seed}/{epoch}/{tree.id}".encode()).hexdigest()

    return sorted(trees, key=key)


def epoch_batches(
    trees: Sequence[Tree], recipe: Recipe, seed: int, epoch: int
) -> list[tuple[Tree, ...]]:
    """Return the batches of one epoch."""
    return list(batches(epoch_order(trees, seed, epoch), recipe.batch_size))


def train_pack(
    base: Base,
    adapters: Adapters,
    trees: Sequence[Tree],
    recipe: Recipe,
    micro_tokens: int,
    evaluate: Callable[[], list[float]],
    on_step: OnStep,
) -> Trained:
    """Train the attached adapters for the recipe's epochs.

    `evaluate` returns each lane's evaluation loss and is called after every epoch. The loss of a
    batch is the mean over its answer tokens, however it is cut into micro-batches of at most
    `micro_tokens` tokens of all lanes together.
    """
    return _Training(base, adapters, trees, recipe, micro_tokens, evaluate, on_step).run()


class _Training:
    """The state of a pack's training."""

    def __init__(
        self,
        base: Base,
        adapters: Adapters,
        trees: Sequence[Tree],
        recipe: Recipe,
        micro_tokens: int,
        evaluate: Callable[[], list[float]],
        on_step: OnStep,
    ) -> None:
        self.base, self.adapters, self.recipe = base, adapters, recipe
        self.lanes = adapters.lanes
        self.row_tokens = max(1, micro_tokens // len(self.lanes))
        self.evaluate, self.on_step = evaluate, on_step
        seed = self.lanes[0].seed
        self.epochs = [epoch_batches(trees, recipe, seed, e) for e in range(recipe.epochs)]
        lr_K = torch.tensor([lane.lr for lane in self.lanes], dtype=torch.float64)
        self.optimizer = LaneAdamW(adapters.values_KP, lr_K, recipe.weight_decay)
        self.live_K = torch.ones(len(self.lanes), dtype=torch.bool, device=base.device)
        self.result = Trained(sum(map(len, self.epochs)), 0.0, [[] for _ in self.lanes],
                              [None] * len(self.lanes))  # fmt: skip

    def run(self) -> Trained:
        started = time.perf_counter()
        step = 0
        for epoch, epoch_of_batches in enumerate(self.epochs):
            for batch in epoch_of_batches:
                self._step(batch, step, epoch)
                step += 1
            paused = time.perf_counter()
            self._evaluate(step, epoch)
            started += time.perf_counter() - paused
        self.result.seconds = time.perf_counter() - started
        return self.result

    def _step(self, batch: tuple[Tree, ...], step: int, epoch: int) -> None:
        self.adapters.gradients_KP.zero_()
        loss_K = self._accumulate(batch, step)
        self._stop_lanes(loss_K, step, "loss")
        norm_K = clip_lanes(self.adapters.gradients_KP, self.recipe.max_grad_norm)
        self._stop_lanes(norm_K, step, "gradient norm")
        factor = schedule_factor(self.recipe, step, self.result.num_steps)
        self.optimizer.step(self.adapters.gradients_KP, factor, self.live_K)
        self._record(batch, step, epoch, factor, loss_K.tolist(), norm_K.tolist())

    def _accumulate(self, batch: tuple[Tree, ...], step: int) -> Tensor:
        """Add up the gradients of a batch; return each lane's mean loss over its answer tokens."""
        num_answer_tokens = sum(tree.num_answer_tokens for tree in batch)
        total_K = torch.zeros(len(self.lanes), dtype=torch.float64)
        for trees in micro_batches(batch, self.row_tokens):
            rows = lay_out(trees, self.base.device)
            self.adapters.dropout = self._dropout(rows, step)
            loss_K = answer_loss(self.base, rows, len(self.lanes)) / num_answer_tokens
            self.adapters.accumulate(loss_K.sum())
            total_K += loss_K.detach().double().cpu()
        self.adapters.dropout = None
        return total_K

    def _dropout(self, rows: Rows, step: int) -> TreeDropout | None:
        if not any(lane.dropout for lane in self.lanes):
            return None
        ids, sizes = [t.id for t in rows.trees], [t.num_tokens for t in rows.trees]
        return TreeDropout(self.lanes, ids, sizes, step, rows.input_ids_RT.shape[1])

    def _stop_lanes(self, value_K: Tensor, step: int, quantity: str) -> None:
        """Stop lanes whose value is not finite: their numbers become zero, the others go on."""
        finite = [math.isfinite(v) for v in value_K.tolist()]
        for k, (ok, live) in enumerate(zip(finite, self.live_K.tolist(), strict=True)):
            if live and not ok:
                failure = Failure(step=step, quantity=quantity, value=str(value_K[k].item()))
                self.result.failures[k] = failure
                self._silence(k)

    @torch.no_grad()
    def _silence(self, k: int) -> None:
        self.live_K[k] = False
        self.adapters.values_KP[k] = 0
        self.optimizer.mean_KP[k] = 0
        self.optimizer.square_KP[k] = 0
        self.adapters.gradients_KP[k] = 0

    def _record(self, batch: tuple[Tree, ...], step: int, epoch: int, factor: float,
                losses: list[float], norms: list[float]) -> None:  # fmt: skip
        questions = sum(len(tree.branches) for tree in batch)
        tokens = sum(tree.num_answer_tokens for tree in batch)
        for k in self._live():
            entry = StepEntry(step=step, epoch=epoch, loss=losses[k], grad_norm=norms[k],
                              lr=self.lanes[k].lr * factor, num_questions=questions,
                              num_answer_tokens=tokens)  # fmt: skip
            self.result.histories[k].append(entry)
        self.on_step(StepEvent(step + 1, self.result.num_steps, questions, tuple(losses)))

    def _evaluate(self, step: int, epoch: int) -> None:
        losses = self.evaluate()
        for k in self._live():
            self.result.histories[k].append(EvalEntry(step=step, epoch=epoch, eval_loss=losses[k]))

    def _live(self) -> Iterator[int]:
        return (k for k, live in enumerate(self.live_K.tolist()) if live)


def answer_loss(base: Base, rows: Rows, num_lanes: int) -> Tensor:
    """Return each lane's summed negative log-likelihood [K] of the answer tokens, in nats."""
    hidden_KNd = base.hidden_at_answers(rows, num_lanes)
    logits_KNV = base.head(hidden_KNd)
    wide = logits_KNV.to(torch.promote_types(logits_KNV.dtype, torch.float32)).flatten(0, 1)
    labels = rows.labels_N.repeat(num_lanes)
    return F.cross_entropy(wide, labels, reduction="none").view(num_lanes, -1).sum(1)
