"""AdamW over the lanes of a pack: one flat buffer, learning rates and a clipping per lane.

Shapes: K lanes, P numbers of a lane. Each lane gets what torch.optim.AdamW and
torch.nn.utils.clip_grad_norm_ give it alone.

References: Loshchilov & Hutter 2019, arXiv:1711.05101; PyTorch's torch.optim.AdamW.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lorasweep.study.sections import Recipe

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
# The update's temporaries are a few times this: 16 MiB each in fp32, whatever the model's size.
# A card, which would rather make few calls, gets 256 MiB each.
NUMBERS_AT_ONCE = {"cpu": 2**22, "cuda": 2**26}
NUMBERS_SUMMED = 2**18


class LaneAdamW:
    """AdamW on values [K, P] with learning rates [K, P], or [K, 1] for one per lane.

    A stopped lane stays as it is.
    """

    def __init__(self, values_KP: Tensor, lr_KP: Tensor, weight_decay: float) -> None:
        self.values_KP, self.weight_decay = values_KP, weight_decay
        self.lr_KP = lr_KP.to(values_KP)
        self.mean_KP = torch.zeros_like(values_KP)
        self.square_KP = torch.zeros_like(values_KP)
        self.num_steps = 0
        self.slice = max(1, NUMBERS_AT_ONCE[values_KP.device.type] // len(values_KP))

    @torch.no_grad()
    def step(
        self,
        gradients_KP: Tensor,
        factor: float,
        live_K: Tensor,
        steps_taken: Sequence[int] | None = None,
    ) -> None:
        """Take one step at `factor` times the learning rates, for live lanes only.

        `steps_taken` counts each lane's steps with this one, where lanes skip some.
        """
        self.num_steps += 1
        bias1, root2 = self._corrections(steps_taken)
        for start in range(0, self.values_KP.shape[1], self.slice):
            part = slice(start, start + self.slice)
            lr = self.lr_KP[:, part if self.lr_KP.shape[1] > 1 else slice(None)]
            lr = lr * factor * live_K[:, None]
            self._step_part(part, gradients_KP[:, part], lr, bias1, root2)

    def _corrections(
        self, steps_taken: Sequence[int] | None
    ) -> tuple[float | Tensor, float | Tensor]:
        """Return 1 - beta1^t and the root of 1 - beta2^t, or a column [K, 1] of each by lane."""
        if steps_taken is None:
            return _corrections_at(self.num_steps)
        by_lane = [_corrections_at(max(1, taken)) for taken in steps_taken]
        bias1_K1, root2_K1 = self.values_KP.new_tensor(by_lane).T[..., None]
        return bias1_K1, root2_K1

    def _step_part(
        self,
        part: slice,
        gradients: Tensor,
        lr: Tensor,
        bias1: float | Tensor,
        root2: float | Tensor,
    ) -> None:
        values, mean, square = (
            whole[:, part] for whole in (self.values_KP, self.mean_KP, self.square_KP)
        )
        values.mul_(1 - lr * self.weight_decay)
        mean.lerp_(gradients, 1 - BETA1)
        square.mul_(BETA2).addcmul_(gradients, gradients, value=1 - BETA2)
        denominator = square.sqrt().div_(root2).add_(EPSILON)
        values.sub_(mean / denominator * (lr / bias1))


def _corrections_at(num_steps: int) -> tuple[float, float]:
    return 1 - BETA1**num_steps, math.sqrt(1 - BETA2**num_steps)


@torch.no_grad()
def clip_lanes(gradients_KP: Tensor, max_norm: float) -> Tensor:
    """Scale each lane's gradient to at most `max_norm` in place; return the norms [K] before."""
    norm_K = lane_norms(gradients_KP)
    gradients_KP.mul_((max_norm / (norm_K + 1e-6)).clamp(max=1.0)[:, None])
    return norm_K


def lane_norms(values_KP: Tensor) -> Tensor:
    """Return the Euclidean norm [K] of every lane's numbers, summed by pieces.

    On CPUs torch's norm of 124 million numbers in fp32 is 1.3 % off when it is taken in one piece.
    """
    pieces = [
        torch.linalg.vector_norm(p, dim=1) for p in torch.split(values_KP, NUMBERS_SUMMED, dim=1)
    ]
    norm_K: Tensor = torch.linalg.vector_norm(torch.stack(pieces, dim=1), dim=1)
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
