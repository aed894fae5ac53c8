"""Frozen linear maps over weights packed once in oneDNN's own layout, both directions.

A frozen W is only ever multiplied, by x forward and by dy backward, so W and W^T are reordered once
instead of at every product. Falls back to `FrozenLinear` where this machine cannot: without oneDNN,
in fp16, and in bf16 on processors without the instructions that oneDNN asks for.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor

from lorasweep.model.ops.frozen import FrozenLinear, as_rows_of


def can_pack(weight: Tensor) -> bool:
    """Say whether torch can pack this weight here."""
    known = weight.device.type == "cpu" and weight.dtype in (torch.float32, torch.bfloat16)
    return known and _multiplies_packed(weight.dtype)


@cache
def _multiplies_packed(dtype: torch.dtype) -> bool:
    """Say whether a packed product works on this machine, by a small one."""
    ones = torch.ones(2, 2, dtype=dtype)
    try:
        product = _multiply(ones, torch.ops.mkldnn._reorder_linear_weight(ones, None), None)
    except (AttributeError, RuntimeError):
        return False
    return bool((product == 2).all())


class PackedLinear(FrozenLinear):
    """A frozen linear map whose products read packed copies of the weight."""

    def __init__(self, linear: FrozenLinear) -> None:
        super().__init__(linear.weight.data, None, linear.stored_transposed)
        self.bias = linear.bias
        self.pack()

    def pack(self) -> None:
        """Pack the weight anew, after it was rounded to another precision, where that can be."""
        self._forward: Tensor | None = None
        self._backward: Tensor | None = None
        weight = self.weight.data
        if not can_pack(weight):
            return
        self._forward = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), None)
        self._backward = torch.ops.mkldnn._reorder_linear_weight(weight.t().contiguous(), None)

    def product(self, x: Tensor) -> Tensor:
        """Return x W^T + b."""
        if self._forward is None:
            return super().product(x)
        out: Tensor = _PackedProduct.apply(x, self._forward, self._backward, self.bias)  # type: ignore[no-untyped-call]
        return out


class _PackedProduct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, forward: Tensor, backward: Tensor, bias: Tensor | None
    ) -> Tensor:
        ctx.weight = backward
        return _multiply(x, forward, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return _multiply(gradients[0], ctx.weight, None), None, None, None


def _multiply(x: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    rows = x.reshape(-1, x.shape[-1])
    y = torch.ops.mkldnn._linear_pointwise(rows, packed, bias, "none", [], "")
    return as_rows_of(x, y)
