"""AdamW over the lanes of a pack: one flat buffer, a learning rate and a clipping per lane.

Shapes: K lanes, P numbers of a lane. Each lane gets what torch.optim.AdamW and
torch.nn.utils.clip_grad_norm_ give it alone.

References: Loshchilov & Hutter 2019, arXiv:1711.05101; PyTorch's torch.optim.AdamW.
"""

import math

import torch
from torch import Tensor

from lorasweep.study import Recipe

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class LaneAdamW:
    """AdamW with a learning rate per lane on values [K, P]; a stopped lane stays as it is."""

    def __init__(self, values_KP: Tensor, lr_K: Tensor, weight_decay: float) -> None:
        self.values_KP, self.weight_decay = values_KP, weight_decay
        self.lr_K = lr_K.to(values_KP)
        self.mean_KP = torch.zeros_like(values_KP)
        self.square_KP = torch.zeros_like(values_KP)
        self.num_steps = 0

    @torch.no_grad()
    def step(self, gradients_KP: Tensor, factor: float, live_K: Tensor) -> None:
        """Take one step at `factor` times each lane's learning rate, for live lanes only."""
        self.num_steps += 1
        lr_K1 = (self.lr_K * factor * live_K)[:, None]
        self.values_KP.mul_(1 - lr_K1 * self.weight_decay)
        self.mean_KP.lerp_(gradients_KP, 1 - BETA1)
        self.square_KP.mul_(BETA2).addcmul_(gradients_KP, gradients_KP, value=1 - BETA2)
        bias1, bias2 = 1 - BETA1**self.num_steps, 1 - BETA2**self.num_steps
        denominator = self.square_KP.sqrt().div_(math.sqrt(bias2)).add_(EPSILON)
        self.values_KP.sub_(self.mean_KP / denominator * (lr_K1 / bias1))


@torch.no_grad()
def clip_lanes(gradients_KP: Tensor, max_norm: float) -> Tensor:
    """Scale each lane's gradient to at most `max_norm` in place; return the norms [K] before."""
    norm_K: Tensor = torch.linalg.vector_norm(gradients_KP, dim=1)
    gradients_KP.mul_((max_norm / (norm_K + 1e-6)).clamp(max=1.0)[:, None])
    return norm_K


def schedule_factor(recipe: Recipe, step: int, num_steps: int) -> float:
    """Return the share of the learning rate at a step (from 0), as transformers' schedules do."""
    warmup = math.ceil(recipe.warmup * num_steps)
    if step < warmup:
        return step / warmup
    if recipe.schedule == "constant":
        return 1.0
    progress = (step - warmup) / max(1, num_steps - warmup)
    if recipe.schedule == "linear":
        return 1.0 - progress
    return 0.5 * (1 + math.cos(math.pi * progress))
