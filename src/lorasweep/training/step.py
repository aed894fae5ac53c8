"""One optimizer step of all lanes of a pack: gradients of a batch, clipping, the update.

Shapes: K lanes.
"""

import math

import torch
from torch import Tensor

from lorasweep.data.cuts import micro_batches, parts
from lorasweep.data.trees import Rows, Tree, lay_out
from lorasweep.folder.records import Failure
from lorasweep.model.base import Base
from lorasweep.model.lora import TreeDropout
from lorasweep.study.sections import Recipe
from lorasweep.training.hooks import Trained
from lorasweep.training.lanes import Lanes, Trainable
from lorasweep.training.loss import answer_loss
from lorasweep.training.loss_scaling import LossScaling
from lorasweep.training.optimizer import clip_lanes


class Stepper:
    """Lets the lanes of a pack step; a lane whose numbers stop being finite is stopped.

    `failed` is where it is noted why.
    """

    def __init__(
        self, base: Base, adapters: Trainable, lanes: Lanes, recipe: Recipe, micro_tokens: int,
        scaling: LossScaling | None, failed: Trained,
    ) -> None:  # fmt: skip
        self.base, self.adapters, self.lanes = base, adapters, lanes
        self.recipe, self.micro_tokens = recipe, micro_tokens
        self.scaling, self.failed = scaling, failed

    def step(self, batch: tuple[Tree, ...], step: int, factor: float) -> tuple[Tensor, Tensor]:
        """Step along a batch at a share of the learning rates; return losses and norms [K]."""
        self.adapters.gradients_KP.zero_()
        loss_K = self._accumulate(batch, step)
        self.stop_lanes(loss_K, step, "loss")
        return loss_K, self._update(step, factor)

    def _update(self, step: int, factor: float) -> Tensor:
        """Clip the gradients and let lanes step along them; return their norms [K] before."""
        if self.scaling:
            return self._scaled_update(self.scaling, step, factor)
        norm_K = clip_lanes(self.adapters.gradients_KP, self.recipe.max_grad_norm).cpu()
        self.stop_lanes(norm_K, step, "gradient norm")
        self.lanes.step(factor)
        return norm_K

    def _scaled_update(self, scaling: LossScaling, step: int, factor: float) -> Tensor:
        """Do what `_update` does; a lane that overflows in fp16 skips the step instead.

        It is stopped where it still overflows at the smallest scale.
        """
        scaling.unscale(self.adapters.gradients_KP)
        norm_K = clip_lanes(self.adapters.gradients_KP, self.recipe.max_grad_norm).cpu()
        overflowed_K = ~norm_K.isfinite()
        scaling.update(overflowed_K)
        self.stop_lanes(norm_K.where(scaling.exhausted_K, 0.0), step, "gradient norm")
        self.lanes.scaled_step(scaling, factor, overflowed_K)
        return norm_K

    def _accumulate(self, batch: tuple[Tree, ...], step: int) -> Tensor:
        """Add up the gradients of a batch; return each lane's mean loss over its answer tokens."""
        num_answer_tokens = sum(tree.num_answer_tokens for tree in batch)
        num_lanes, device = len(self.lanes), self.base.device
        total_K = torch.zeros(num_lanes, dtype=torch.float64, device=device)
        whole = parts(batch, self.micro_tokens, num_lanes)
        for trees in micro_batches(whole, self.micro_tokens, num_lanes, device):
            rows = lay_out(trees, device)
            self.adapters.dropout = self._dropout(rows, step)
            loss_K = answer_loss(self.base, rows, num_lanes) / num_answer_tokens
            scaled_K = self.scaling.scaled(loss_K) if self.scaling else loss_K
            self.adapters.accumulate(scaled_K.sum())
            total_K += loss_K.detach()
        self.adapters.dropout = None
        # Asked for once: a card goes on with a micro-batch while the next one is laid out.
        return total_K.cpu()

    def _dropout(self, rows: Rows, step: int) -> TreeDropout | None:
        lanes = self.adapters.lanes
        if not any(lane.dropout for lane in lanes):
            return None
        ids, sizes = [t.id for t in rows.trees], [t.num_tokens for t in rows.trees]
        gaps = [(len(tree.trunk_ids), tree.skipped) for tree in rows.trees]
        gaps = gaps if any(gap for _, gap in gaps) else []
        width = rows.input_ids_RT.shape[1]
        return TreeDropout(lanes, ids, sizes, step, width, rows.answer_index_N, gaps)

    def stop_lanes(self, value_K: Tensor, step: int, quantity: str) -> None:
        """Stop lanes whose value is not finite."""
        for k in self.lanes.live():
            value = value_K[k].item()
            if not math.isfinite(value):
                failure = Failure(step=step, quantity=quantity, value=str(value))
                self.failed.failures[self.lanes.places[k]] = failure
                self.lanes.silence(k)
