"""The training loop of a pack: K lanes in lockstep over the same batches of trees."""

import hashlib
import math
import time
from collections.abc import Sequence

import torch

from lorasweep.data.cuts import batches
from lorasweep.data.trees import Tree
from lorasweep.folder.records import EvalEntry, StepEntry
from lorasweep.model.base import Base
from lorasweep.model.machine import peak_memory_bytes
from lorasweep.study.sections import Recipe
from lorasweep.training.checkpoint import Checkpoint, Checkpoints, Progress
from lorasweep.training.hooks import Hooks, RaceHooks, StepEvent, Trained
from lorasweep.training.lanes import Lanes, Trainable
from lorasweep.training.loss_scaling import LossScaling
from lorasweep.training.optimizer import schedule_factor
from lorasweep.training.race import ParagraphLosses
from lorasweep.training.step import Stepper

SECONDS_WORTH_SAVING = 60.0


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
        self.adapters, self.recipe = adapters, recipe
        self.hooks, self.checkpoints = hooks, checkpoints
        seed = adapters.lanes[0].seed
        self.epochs = [epoch_batches(trees, recipe, seed, e) for e in range(recipe.epochs)]
        scaling = LossScaling(len(adapters.lanes)) if base.is_fp16 else None
        self.lanes = Lanes(adapters, recipe.weight_decay, scaling)
        num_steps = sum(map(len, self.epochs))
        self.rungs = hooks.race.race.fractions(num_steps) if hooks.race else {}
        self.result = Trained.nothing(num_steps, len(self.lanes))
        self.stepper = Stepper(
            base, adapters, self.lanes, recipe, micro_tokens, scaling, self.result
        )

    def run(self) -> Trained:
        first = self._resume()
        plan = [(e, i) for e, epoch in enumerate(self.epochs) for i in range(len(epoch))]
        for step, (epoch, index) in enumerate(plan[first:], first):
            if not self.lanes.live():
                break
            self._timed_step(self.epochs[epoch][index], step, epoch)
            is_last = index + 1 == len(self.epochs[epoch])
            num_stopped = self._evaluate(step + 1, epoch if is_last else None)
            self._save_if_asked(step + 1, num_stopped > 0)
        return self.result

    def _timed_step(self, batch: tuple[Tree, ...], step: int, epoch: int) -> None:
        started = time.perf_counter()
        self._step(batch, step, epoch)
        seconds = time.perf_counter() - started
        self.result.seconds += seconds
        for place in self.lanes.places:
            self.result.lane_seconds[place] += seconds / len(self.lanes)

    def _resume(self) -> int:
        """Take up the newest checkpoint; return the number of steps that are done."""
        found = self.checkpoints.newest() if self.checkpoints else None
        if found is None:
            return 0
        progress, result, num_lanes = found.progress, self.result, len(self.lanes)
        places = self.lanes.places if progress.places is None else progress.places
        self.lanes.restore(places, progress.num_steps_done, found.tensors)
        result.seconds, result.peak_memory_bytes = progress.seconds, progress.peak_memory_bytes
        result.histories, result.failures = progress.histories, progress.failures
        result.places = self.lanes.places
        result.lane_seconds = progress.lane_seconds or [progress.seconds / num_lanes] * num_lanes
        result.rungs, result.stops = progress.rungs or result.rungs, progress.stops or result.stops
        self._tell_resumed(progress.num_steps_done)
        return progress.num_steps_done

    def _tell_resumed(self, num_steps_done: int) -> None:
        done = [batch for epoch in self.epochs for batch in epoch][:num_steps_done]
        questions = sum(len(tree.branches) for batch in done for tree in batch)
        event = StepEvent(num_steps_done, self.result.num_steps, questions, (), is_resumed=True)
        self.hooks.on_step(event)

    def _save_if_asked(self, num_steps_done: int, is_needed: bool) -> None:
        """Write a checkpoint where one is due or needed or a stop is asked for; then stop."""
        stop = self.hooks.stop_requested()
        # Answering follows: a kill there should not cost minutes of training.
        last = (
            num_steps_done == self.result.num_steps and self.result.seconds > SECONDS_WORTH_SAVING
        )
        if self.checkpoints is not None and (stop or last or is_needed or self.checkpoints.due()):
            self.checkpoints.save(
                Checkpoint(
                    self._progress(self.checkpoints.identity, num_steps_done), self.lanes.state()
                )
            )
        if stop:
            raise KeyboardInterrupt

    def _progress(self, identity: str, num_steps_done: int) -> Progress:
        result = self.result
        return Progress(
            identity=identity,
            num_steps_done=num_steps_done,
            seconds=result.seconds,
            peak_memory_bytes=max(result.peak_memory_bytes, peak_memory_bytes()),
            histories=result.histories,
            failures=result.failures,
            places=result.places,
            lane_seconds=result.lane_seconds,
            rungs=result.rungs,
            stops=result.stops,
        )

    def _step(self, batch: tuple[Tree, ...], step: int, epoch: int) -> None:
        factor = schedule_factor(self.recipe, step, self.result.num_steps)
        loss_K, norm_K = self.stepper.step(batch, step, factor)
        self._record(batch, step, epoch, factor, loss_K.tolist(), norm_K.tolist())

    def _record(self, batch: tuple[Tree, ...], step: int, epoch: int, factor: float,
                losses: list[float], norms: list[float]) -> None:  # fmt: skip
        questions = sum(len(tree.branches) for tree in batch)
        tokens = sum(tree.num_answer_tokens for tree in batch)
        live = self.lanes.live()
        for k in live:
            norm = norms[k] if math.isfinite(norms[k]) else None
            entry = StepEntry(step=step, epoch=epoch, loss=losses[k], grad_norm=norm,
                              lr=self.adapters.lanes[k].lr * factor, num_questions=questions,
                              num_answer_tokens=tokens)  # fmt: skip
            self.result.histories[self.lanes.places[k]].append(entry)
        told = tuple(losses[k] for k in live)
        self.hooks.on_step(StepEvent(step + 1, self.result.num_steps, questions, told))

    def _evaluate(self, step: int, epoch: int | None) -> int:
        """Evaluate at a rung and after an epoch's last step; return how many lost the race."""
        race = self.hooks.race if step in self.rungs else None
        if race is None and epoch is None:
            return 0
        found = race.evaluate() if race else None
        losses = found.means() if found else self.hooks.evaluate()
        self.stepper.stop_lanes(torch.tensor(losses, dtype=torch.float64), step, "evaluation loss")
        for k in self.lanes.live() if epoch is not None else ():
            entry = EvalEntry(step=step, epoch=epoch or 0, eval_loss=losses[k])
            self.result.histories[self.lanes.places[k]].append(entry)
        return self._race(race, found, step) if race and found else 0

    def _race(self, race: RaceHooks, found: ParagraphLosses, step: int) -> int:
        """Let the lanes go that lose at this rung; return how many."""
        lanes, result = self.lanes, self.result
        rungs = {lanes.places[k]: found.rung(k, self.rungs[step], step) for k in lanes.live()}
        for place, rung in rungs.items():
            result.rungs[place].append(rung)
        stops = race.race.judge(rungs, result.num_steps)
        kept = [k for k in lanes.live() if lanes.places[k] not in stops]
        for k in lanes.live():
            if lanes.places[k] in stops:
                race.set_aside(lanes.places[k], self._alone(k, step))
        for place, stop in stops.items():
            result.stops[place] = stop
        self._narrow(kept)
        return len(stops)

    def _narrow(self, kept: list[int]) -> None:
        """Go on with these lanes alone, and without a lane where there are none."""
        if not kept:
            self.lanes.live_K[:] = False
        elif len(kept) < len(self.lanes):
            self.lanes.keep(kept)
            self.result.places = self.lanes.places

    def _alone(self, k: int, step: int) -> Checkpoint:
        """Return a lane's state as that of a pack of its run alone."""
        place, whole = self.lanes.places[k], self._progress("", step)
        own = {
            "seconds": self.result.lane_seconds[place],
            "places": [0],
            "lane_seconds": [self.result.lane_seconds[place]],
            "histories": [self.result.histories[place]],
            "failures": [None],
            "rungs": [self.result.rungs[place]],
            "stops": [None],
        }
        return Checkpoint(whole.model_copy(update=own), self.lanes.state_of(k))


def last_epoch_loss(history: Sequence[StepEntry | EvalEntry]) -> float | None:
    """Return the mean loss per answer token over the last epoch's steps, or None without any."""
    steps = [entry for entry in history if isinstance(entry, StepEntry)]
    last = [s for s in steps if s.epoch == steps[-1].epoch]
    tokens = sum(s.num_answer_tokens for s in last)
    return sum(s.loss * s.num_answer_tokens for s in last) / tokens if last else None
