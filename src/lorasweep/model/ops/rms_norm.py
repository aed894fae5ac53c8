"""RMS norms (arXiv:1910.07467) of frozen weights: x / rms(x) * w, with a backward of our own.

Sums are taken at the input's own precision or fp32, whichever is higher. autograd's backward of the
plain steps, which are the reference, reads and writes the activations about twice as often.
"""

from typing import Any

import torch
from torch import Tensor, nn


class FrozenRMSNorm(nn.Module):
    """x / rms(x) * w over the last axis."""

    def __init__(self, weight: Tensor, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis."""
        y: Tensor = _RMSNorm.apply(x, self.weight, self.epsilon)  # type: ignore[no-untyped-call]
        return y


def reference_rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Return x / rms(x) * w by plain steps."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    normed = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + epsilon)
    return weight * normed.to(x.dtype)


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        squares = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).square_()
        inverse = squares.div_(x.shape[-1]).add_(epsilon).rsqrt_()
        normed = (wide * inverse).to(x.dtype)
        ctx.save_for_backward(normed, inverse, weight)
        return torch.mul(normed, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        normed, inverse, weight = ctx.saved_tensors
        # dx = (g - n mean(g n)) / rms, with g = w dy and n the normed x.
        g = (gradients[0] * weight).to(inverse.dtype)
        n = normed.to(inverse.dtype)
        mean = torch.linalg.vecdot(g, n).unsqueeze_(-1).div_(n.shape[-1])
        return g.addcmul_(n, mean, value=-1).mul_(inverse).to(normed.dtype), None, None
