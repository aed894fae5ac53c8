"""The training loop of a pack: K lanes in lockstep over the same batches of trees.

Shapes: K lanes, N supervised positions of a micro-batch, V vocabulary.
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from lorasweep.base import Base
from lorasweep.checkpoint import Checkpoint, Checkpoints, Progress
from lorasweep.lora import Lane, TreeDropout
from lorasweep.machine import peak_memory_bytes
from lorasweep.optimizer import LaneAdamW, clip_lanes, schedule_factor
from lorasweep.records import EvalEntry, Failure, StepEntry
from lorasweep.study import Recipe
from lorasweep.trees import Rows, Tree, batches, lay_out, micro_batches

SECONDS_WORTH_SAVING = 60.0


@dataclass(frozen=True, slots=True)
class StepEvent:
    """What a step of a pack tells whoever shows progress.

    A resumed pack first tells of all the steps that were done before, with `is_resumed`.
    """

    step: int
    num_steps: int
    num_questions: int
    losses: tuple[float, ...]
    is_resumed: bool = False


@dataclass(slots=True)
class Trained:
    """What a pack's training leaves beside its adapters: histories and failures per lane.

    `seconds` counts the steps alone; `peak_memory_bytes` is the peak before the last resume.
    """

    num_steps: int
    seconds: float
    peak_memory_bytes: int
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


class Trainable(Protocol):
    """What a pack trains: numbers of K lanes in one buffer [K, P], and their gradients."""

    lanes: tuple[Lane, ...]
    dropout: TreeDropout | None
    values_KP: Tensor
    gradients_KP: Tensor

    def learning_rates(self) -> Tensor:
        """Return the learning rates [K, P], or [K, 1] for one per lane."""
        ...

    def accumulate(self, loss: Tensor) -> None:
        """Add the gradients of a scalar loss to `gradients_KP`."""
        ...


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a pack's training calls: evaluation, progress, and whether to stop.

    `evaluate` returns each lane's evaluation loss and is called after every epoch; where
    `stop_requested` says so, a checkpoint is written after the step and KeyboardInterrupt raised.
    """

    evaluate: Callable[[], list[float]]
    on_step: Callable[[StepEvent], None] = lambda _: None
    stop_requested: Callable[[], bool] = lambda: False


def train_pack(
    base: Base,
    adapters: Trainable,
    trees: Sequence[Tree],
    recipe: Recipe,
    micro_tokens: int,
    hooks: Hooks,
    checkpoints: Checkpoints | None = None,
) -> Trained:
    """Train the attached adapters for the recipe's epochs, from the newest checkpoint if any.

    The loss of a batch is the mean over its answer tokens, however it is cut into micro-batches of
    at most `micro_tokens` tokens of all lanes together.
    """
    return _Training(base, adapters, trees, recipe, micro_tokens, hooks, checkpoints).run()


class _Training:
    """The state of a pack's training."""

    def __init__(
        self,
        base: Base,
        adapters: Trainable,
        trees: Sequence[Tree],
        recipe: Recipe,
        micro_tokens: int,
        hooks: Hooks,
        checkpoints: Checkpoints | None,
    ) -> None:
        self.base, self.adapters, self.recipe = base, adapters, recipe
        self.lanes = adapters.lanes
        self.row_tokens = max(1, micro_tokens // len(self.lanes))
        self.hooks, self.checkpoints = hooks, checkpoints
        seed = self.lanes[0].seed
        self.epochs = [epoch_batches(trees, recipe, seed, e) for e in range(recipe.epochs)]
        self.optimizer = LaneAdamW(
            adapters.values_KP, adapters.learning_rates(), recipe.weight_decay
        )
        self.live_K = torch.ones(len(self.lanes), dtype=torch.bool, device=base.device)
        self.result = Trained(sum(map(len, self.epochs)), 0.0, 0, [[] for _ in self.lanes],
                              [None] * len(self.lanes))  # fmt: skip

    def run(self) -> Trained:
        first = self._resume()
        plan = [(e, i) for e, epoch in enumerate(self.epochs) for i in range(len(epoch))]
        for step, (epoch, index) in enumerate(plan[first:], first):
            started = time.perf_counter()
            self._step(self.epochs[epoch][index], step, epoch)
            self.result.seconds += time.perf_counter() - started
            if index + 1 == len(self.epochs[epoch]):
                self._evaluate(step + 1, epoch)
            self._save_if_asked(step + 1)
            if not self.live_K.any():
                break
        return self.result

    def _resume(self) -> int:
        """Take up the newest checkpoint; return the number of steps that are done."""
        found = self.checkpoints.newest() if self.checkpoints else None
        if found is None:
            return 0
        for name, tensor in self._tensors().items():
            tensor.copy_(found.tensors[name])
        progress, result = found.progress, self.result
        self.optimizer.num_steps = progress.num_steps_done
        result.seconds, result.peak_memory_bytes = progress.seconds, progress.peak_memory_bytes
        result.histories, result.failures = progress.histories, progress.failures
        self._tell_resumed(progress.num_steps_done)
        return progress.num_steps_done

    def _tell_resumed(self, num_steps_done: int) -> None:
        done = [batch for epoch in self.epochs for batch in epoch][:num_steps_done]
        questions = sum(len(tree.branches) for batch in done for tree in batch)
        event = StepEvent(num_steps_done, self.result.num_steps, questions, (), is_resumed=True)
        self.hooks.on_step(event)

    def _save_if_asked(self, num_steps_done: int) -> None:
        """Write a checkpoint where one is due or a stop is asked for; then stop."""
        stop = self.hooks.stop_requested()
        # Answering follows: a kill there should not cost minutes of training.
        last = (
            num_steps_done == self.result.num_steps and self.result.seconds > SECONDS_WORTH_SAVING
        )
        if self.checkpoints is not None and (stop or last or self.checkpoints.due()):
            self.checkpoints.save(Checkpoint(self._progress(num_steps_done), self._tensors()))
        if stop:
            raise KeyboardInterrupt

    def _progress(self, num_steps_done: int) -> Progress:
        assert self.checkpoints is not None
        result = self.result
        return Progress(
            identity=self.checkpoints.identity,
            num_steps_done=num_steps_done,
            seconds=result.seconds,
            peak_memory_bytes=max(result.peak_memory_bytes, peak_memory_bytes()),
            histories=result.histories,
            failures=result.failures,
        )

    def _tensors(self) -> dict[str, Tensor]:
        return {
            "values": self.adapters.values_KP,
            "mean": self.optimizer.mean_KP,
            "square": self.optimizer.square_KP,
            "live": self.live_K,
        }

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
        live = tuple(losses[k] for k in self._live())
        self.hooks.on_step(StepEvent(step + 1, self.result.num_steps, questions, live))

    def _evaluate(self, step: int, epoch: int) -> None:
        losses = self.hooks.evaluate()
        self._stop_lanes(torch.tensor(losses, dtype=torch.float64), step, "evaluation loss")
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


def last_eval_loss(history: Sequence[StepEntry | EvalEntry]) -> float:
    """Return the evaluation loss after the last epoch, in nats per answer token."""
    return next(e.eval_loss for e in reversed(history) if isinstance(e, EvalEntry))


def last_epoch_loss(history: Sequence[StepEntry | EvalEntry]) -> float | None:
    """Return the mean loss per answer token over the last epoch's steps, or None without any."""
    steps = [entry for entry in history if isinstance(entry, StepEntry)]
    last = [s for s in steps if s.epoch == steps[-1].epoch]
    tokens = sum(s.num_answer_tokens for s in last)
    return sum(s.loss * s.num_answer_tokens for s in last) / tokens if last else None
