"""The prompts of questions, computed once for all the decoders that answer them.

What the pass over a micro-batch of prompts leaves is kept as far as memory allows, so that the next
decoder starts from there; the rest is computed again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch

from lorasweep.answering.decode.rows import GrowingRows, Prefilled, prompts_of
from lorasweep.data.cuts import micro_batches, parts
from lorasweep.data.trees import Tree
from lorasweep.model.base import Base
from lorasweep.model.machine import device_memory_bytes

# A sixteenth of a device's memory for logits of four bytes: beam search has four such at once.
BYTES_FOR_A_LOGIT = 64
# Over prompts, and then for every token of the longest answers; an estimate, which decides speed.
USUAL_PASSES = 8


@dataclass
class Prompts:
    """The prompts of trees, to be answered by all lanes that are attached to the base.

    `max_tokens` bounds a micro-batch (all lanes, with padding), and so does the memory that the
    logits of its slots take; neither decides a result. `room_bytes` is the memory that may be kept
    from one decoder to the next. What is kept belongs to the lanes' present numbers.
    `seconds_saved` is what computing them took that was not computed again.
    """

    base: Base
    trees: Sequence[Tree]
    num_lanes: int
    max_tokens: int
    room_bytes: int = 0
    seconds_saved: float = 0.0
    _kept: dict[tuple[Tree, ...], Prefilled] = field(default_factory=dict)

    def rows(self, copies: int = 1) -> Iterator[GrowingRows]:
        """Yield micro-batches of rows with so many slots a question, ready to grow."""
        for group in self._groups(copies):
            known = self._kept.get(group)
            self.seconds_saved += known.seconds if known else 0.0
            rows = GrowingRows(self.base, group, self.num_lanes, copies, known)
            yield rows
            self._keep(group, rows.prefilled)

    def _groups(self, copies: int) -> Iterator[tuple[Tree, ...]]:
        whole, device = [prompts_of(tree) for tree in self.trees], self.base.device
        trees = parts(whole, self.max_tokens, self.num_lanes)
        for group in micro_batches(trees, self.max_tokens, self.num_lanes, device, USUAL_PASSES):
            slots = self.num_lanes * copies * max(len(tree.branches) for tree in group)
            rows = max(1, self._max_logits // (slots * self.base.num_logits))
            yield from (group[start : start + rows] for start in range(0, len(group), rows))

    @property
    def _max_logits(self) -> int:
        """Logits that may be in memory; a decoder has several copies of them for a moment."""
        memory = device_memory_bytes(self.base.device.type, torch.get_num_threads())
        return memory // BYTES_FOR_A_LOGIT

    def _keep(self, group: tuple[Tree, ...], found: Prefilled | None) -> None:
        """Keep what a pass left, if there is room."""
        if found is None or group in self._kept or found.num_bytes > self.room_bytes:
            return
        self._kept[group] = found
        self.room_bytes -= found.num_bytes
