"""GPT-2's GELU, x sigmoid(2 u) with u = sqrt(2 / pi) (x + 0.044715 x^3) (arXiv:1606.08415).

transformers takes it step by step, which reads and writes the activations eight times and keeps
most of the steps for the backward pass; its module is the reference. torch's own operation is one
step, but on processors its tanh costs as much as the product before it where that is fast. Here it
goes by a sigmoid, and the derivative is taken along with the value: backward is one product. What
is narrower than fp32 goes through fp32, where fp16 would leave its range.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.activations import NewGELUActivation

# 2 u = x (LINEAR + CUBIC x^2)
LINEAR = 2 * math.sqrt(2 / math.pi)
CUBIC = 0.044715 * LINEAR
# Numbers taken at a time: few calls are made, and little memory is taken for the steps between.
CHUNK = 2**18


def fuse_gelus(model: PreTrainedModel) -> None:
    """Replace a model's step-by-step tanh GELUs by ours."""
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if isinstance(module, NewGELUActivation):
            model.set_submodule(name, TanhGELU())


class TanhGELU(nn.Module):
    """GELU in its tanh form: by a sigmoid on processors, by torch's own operation on cards."""

    def forward(self, x: Tensor) -> Tensor:
        """Return gelu(x)."""
        if x.device.type == "cuda":
            return F.gelu(x, approximate="tanh")
        out: Tensor = _SigmoidGELU.apply(x)  # type: ignore[no-untyped-call]
        return out


class _SigmoidGELU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        wants_derivative = bool(ctx.needs_input_grad[0])
        y = torch.empty_like(x, memory_format=torch.contiguous_format)
        derivative = torch.empty_like(y) if wants_derivative else None
        _fill(x.contiguous(), y, derivative)
        if derivative is not None:
            ctx.save_for_backward(derivative)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (derivative,) = ctx.saved_tensors
        return gradients[0].mul(derivative)


def _fill(x: Tensor, y: Tensor, derivative: Tensor | None) -> None:
    """Write values, and derivatives if they are wanted, a chunk after the other."""
    wide = torch.promote_types(x.dtype, torch.float32)
    for start in range(0, x.numel(), CHUNK):
        of_x, of_y = (t.view(-1)[start : start + CHUNK] for t in (x, y))
        value, s, scale = _value(of_x.to(wide), of_y)
        if derivative is not None:
            _derivative(value, s, scale, derivative.view(-1)[start : start + CHUNK])


def _value(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Write x sigmoid(2 u) to y; return it in the width of x, with sigmoid(2 u) and 2 u / x."""
    scale = torch.addcmul(x.new_tensor(LINEAR), x, x, value=CUBIC)
    s = torch.sigmoid(x * scale)
    if y.dtype == x.dtype:
        return torch.mul(x, s, out=y), s, scale
    value = x * s
    y.copy_(value)
    return value, s, scale


def _derivative(value: Tensor, s: Tensor, scale: Tensor, out: Tensor) -> None:
    """Write s + x s (1 - s) (2 u)', whose last factor is 3 scale - 2 LINEAR; takes s as room."""
    fall = torch.addcmul(value, value, s, value=-1)
    s.add_(fall, alpha=-2 * LINEAR)
    if out.dtype == s.dtype:
        torch.addcmul(s, fall, scale, value=3, out=out)
    else:
        out.copy_(s.addcmul_(fall, scale, value=3))
