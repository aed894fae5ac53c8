"""The last block's MLP, computed only where its output is read: at answer positions.

Nothing behind it mixes positions, so all others would be computed for nobody. They go on with what
the MLP adds to them left out, and are not read. The plain MLP is the reference.

Shapes: B rows of all lanes, T tokens, M tokens that are read, d width.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from lorasweep.model.ops.frozen import FrozenLinear


class ReadRows:
    """Narrows the MLP of a frozen model's last block to the positions that will be read.

    Does nothing where that MLP is not plainly one: linear maps and functions of single numbers.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._read_M: Tensor | None = None
        self._shape = torch.Size()
        mlp = _last_mlp(model)
        if mlp is not None:
            mlp.register_forward_pre_hook(self._take)
            mlp.register_forward_hook(self._put_back)

    @contextmanager
    def only(self, read_M: Tensor | None) -> Iterator[None]:
        """Compute these places of the flattened [B * T] alone meanwhile; all of them for None."""
        self._read_M = read_M
        try:
            yield
        finally:
            self._read_M = None

    def _take(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the hidden states [1, M, d] that are read, of [B, T, d]."""
        if self._read_M is None:
            return inputs
        self._shape = inputs[0].shape
        return (inputs[0].flatten(0, 1)[self._read_M][None],)

    def _put_back(self, _: nn.Module, inputs: Any, found: Tensor) -> Tensor:
        """Return [B, T, d] of [1, M, d], zero at all other places."""
        if self._read_M is None:
            return found
        whole = found.new_zeros(self._shape).flatten(0, 1)
        return whole.index_copy(0, self._read_M, found[0]).view(self._shape)


def _last_mlp(model: PreTrainedModel) -> nn.Module | None:
    """Return the MLP of the last block, by the name that transformers gives it; None without."""
    count = model.config.get_text_config(decoder=True).num_hidden_layers
    blocks = [
        child
        for child in model.base_model.children()
        if isinstance(child, nn.ModuleList) and len(child) == count
    ]
    mlp = getattr(blocks[0][-1], "mlp", None) if len(blocks) == 1 else None
    return mlp if isinstance(mlp, nn.Module) and _is_plain(mlp) else None


def _is_plain(mlp: nn.Module) -> bool:
    """Say whether all weights are those of frozen linear maps."""
    owned = [p for m in mlp.modules() if isinstance(m, FrozenLinear) for p in m.parameters()]
    return len(owned) > 0 and len(owned) == len(list(mlp.parameters()))
