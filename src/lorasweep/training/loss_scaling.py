"""Loss scaling for fp16, lane by lane: gradients are kept above its smallest numbers.

A lane's loss is multiplied by the lane's scale before the backward pass and its gradients are
divided by it after: scales are powers of two, so both are exact. A scale is halved where a gradient
overflows and doubled after many steps in which none did, as torch.amp.GradScaler does for a model,
with its constants.

Shapes: K lanes, P numbers of a lane.

Reference: Micikevicius et al. 2018, arXiv:1710.03740.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

FIRST, GROWTH, BACKOFF, GOOD_STEPS = 2.0**16, 2.0, 0.5, 2000
# Below, overflows have another cause than the scale.
SMALLEST = 1.0
# fp16's smallest number divided by it is still one that fp32 holds in full.
LARGEST = 2.0**100


class LossScaling:
    """The scales [K] of a pack's lanes, the steps since each one's last change, those skipped.

    What is here is on the CPU: whether a lane has overflowed must be known there anyway.
    """

    def __init__(self, num_lanes: int) -> None:
        self.scale_K = torch.full((num_lanes,), FIRST)
        self.good_steps_K = torch.zeros(num_lanes, dtype=torch.int64)
        self.skipped_K = torch.zeros(num_lanes, dtype=torch.int64)

    def scaled(self, loss_K: Tensor) -> Tensor:
        """Return each lane's loss times its scale."""
        return loss_K * self.scale_K.to(loss_K.device)

    @torch.no_grad()
    def unscale(self, gradients_KP: Tensor) -> None:
        """Divide each lane's gradients by its scale, in place."""
        gradients_KP.div_(self.scale_K.to(gradients_KP.device)[:, None])

    def update(self, overflowed_K: Tensor) -> None:
        """Halve the scales of lanes that overflowed and skip a step; double some of the others."""
        self.skipped_K += overflowed_K
        self.good_steps_K.add_(1).masked_fill_(overflowed_K, 0)
        grows_K = self.good_steps_K == GOOD_STEPS
        self.good_steps_K.masked_fill_(grows_K, 0)
        self.scale_K[overflowed_K] *= BACKOFF
        self.scale_K[grows_K] *= GROWTH
        self.scale_K.clamp_(max=LARGEST)

    @property
    def exhausted_K(self) -> Tensor:
        """Which lanes overflow however small their scale."""
        return self.scale_K < SMALLEST

    def steps_taken(self, num_steps: int) -> list[int]:
        """Return how many of a pack's steps each lane has taken."""
        return [num_steps - skipped for skipped in self.skipped_K.tolist()]

    def keep(self, kept: Sequence[int]) -> None:
        """Let go of all lanes but these."""
        self.scale_K, self.good_steps_K, self.skipped_K = (
            rows[list(kept)] for rows in (self.scale_K, self.good_steps_K, self.skipped_K)
        )

    def state(self) -> dict[str, Tensor]:
        """Return all that a step changes, to be saved."""
        return {
            "scale": self.scale_K,
            "good_steps": self.good_steps_K,
            "skipped_steps": self.skipped_K,
        }

    def state_of(self, k: int) -> dict[str, Tensor]:
        """Return one lane's part of the state."""
        return {name: rows[k : k + 1].clone() for name, rows in self.state().items()}
