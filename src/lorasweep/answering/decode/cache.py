"""A cache of keys and values with room: new tokens are written in place.

Without room each would cost a copy of all that was there before.

Shapes: B rows of all lanes, G key heads, C tokens in the cache, T new ones, d width of a head.
"""

from typing import Any, cast

import torch
from torch import Tensor
from transformers import Cache, PretrainedConfig
from transformers.cache_utils import DynamicLayer

# Keys and values of each layer.
Keys = tuple[tuple[Tensor, Tensor], ...]
# Room is made for this share of what is there, but for some tokens at least.
MORE, FEW = 4, 32


class RoomyLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """One layer's keys and values [B, G, C, d]: the filled part of larger buffers.

    What comes first, the prompts, is kept as it is: it needs no room before something follows.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self._buffers: tuple[Tensor, Tensor] | None = None

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Append [B, G, T, d] to keys and values; return both whole."""
        if self.keys is None or self.values is None:
            # Attention needs them so; and a view would keep all that it is a view of.
            self.keys, self.values = key_states.contiguous(), value_states.contiguous()
            self.is_initialized = True
            self.dtype, self.device = key_states.dtype, key_states.device
            return self.keys, self.values
        before, added = self.keys.shape[2], key_states.shape[2]
        if self._buffers is None or before + added > self._buffers[0].shape[2]:
            self._buffers = self._with_room(self.keys, added), self._with_room(self.values, added)
        for buffer, new in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, before : before + added] = new
        self.keys, self.values = (buffer[:, :, : before + added] for buffer in self._buffers)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep these rows alone; what follows them makes room anew."""
        super().batch_select_indices(indices)
        self._buffers = None

    @staticmethod
    def _with_room(filled: Tensor, added: int) -> Tensor:
        batch, heads, length, width = filled.shape
        room = length + added + max(FEW, length // MORE)
        buffer = torch.empty(batch, heads, room, width, dtype=filled.dtype, device=filled.device)
        buffer[:, :, :length] = filled
        return buffer


def roomy_cache(config: PretrainedConfig) -> Cache:
    """Return an empty cache for a model of this config, whose layers all attend to everything."""
    return _cache_of(config.get_text_config(decoder=True).num_hidden_layers)


def filled_cache(keys: Keys) -> Cache:
    """Return a cache that goes on from keys and values, which stay as they are."""
    cache = _cache_of(len(keys))
    for layer, (of_keys, of_values) in zip(_layers(cache), keys, strict=True):
        layer.update(of_keys, of_values)
    return cache


def keys_of(cache: Cache) -> Keys:
    """Return the keys and values that a cache holds; raises ValueError where a layer has none."""
    found = tuple((layer.keys, layer.values) for layer in _layers(cache))
    if any(of_keys is None for of_keys, _ in found):
        raise ValueError("it puts no keys and values into the cache that it is given")
    return cast(Keys, found)


def _cache_of(num_layers: int) -> Cache:
    return Cache(layers=[RoomyLayer() for _ in range(num_layers)])


def _layers(cache: Cache) -> list[RoomyLayer]:
    return cast(list[RoomyLayer], cache.layers)
