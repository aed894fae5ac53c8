"""The linear maps of the base model, whose weights do not move.

Plain torch, any device and any floating type: the reference for every faster operation.
"""

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Adapter(Protocol):
    """What may be added to a frozen linear map's output."""

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Return y plus the adapter's part of it, from the same input x."""
        ...


class FrozenLinear(nn.Module):
    """y = x W^T + b with a frozen W [out, in], plus what adapters add.

    Stands in for both torch's Linear and GPT-2's Conv1D; `stored_transposed` says that the model's
    own module, and so its files, hold W as [in, out].
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, stored_transposed: bool = False
    ) -> None:
        super().__init__()
        self.stored_transposed = stored_transposed
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
        self.adapters: tuple[Adapter, ...] = ()

    @property
    def out_features(self) -> int:
        """Width of the output."""
        return int(self.weight.shape[0])

    @property
    def in_features(self) -> int:
        """Width of the input."""
        return int(self.weight.shape[1])

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., in] to [..., out]."""
        y = self.product(x)
        for adapter in self.adapters:
            y = adapter(x, y)
        return y

    def product(self, x: Tensor) -> Tensor:
        """Return x W^T + b."""
        return as_rows_of(x, F.linear(x.reshape(-1, x.shape[-1]), self.weight, self.bias))


def as_rows_of(x: Tensor, y: Tensor) -> Tensor:
    """Return y [rows, out] in the shape of x [..., in]: no view, so adapters may be added in place.

    Through a view of it, autograd would copy the gradient.
    """
    shaped: Tensor = torch.ops.aten._unsafe_view(y, [*x.shape[:-1], y.shape[-1]])
    return shaped
