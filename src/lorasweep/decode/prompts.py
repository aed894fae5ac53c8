"""The prompts of questions, computed once for all the decoders that answer them.

What the pass over a micro-batch of prompts leaves is kept as far as memory allows, so that the next
decoder starts from there; the rest is computed again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lorasweep.base import Base
from lorasweep.decode.rows import GrowingRows, Prefilled, prompts_of
from lorasweep.trees import Tree, micro_batches


@dataclass
class Prompts:
    """The prompts of trees, to be answered by all lanes that are attached to the base.

    `max_tokens` bounds a micro-batch (all lanes, with padding); it decides no result. `room_bytes`
    is the memory that may be kept from one decoder to the next. What is kept belongs to the lanes'
    present numbers. `seconds_saved` is what computing them took that was not computed again.
    """

    base: Base
    trees: Sequence[Tree]
    num_lanes: int
    max_tokens: int
    room_bytes: int = 0
    seconds_saved: float = 0.0
    _kept: dict[int, Prefilled] = field(default_factory=dict)

    def rows(self, copies: int = 1) -> Iterator[GrowingRows]:
        """Yield micro-batches of rows with so many slots a question, ready to grow."""
        width = max(1, self.max_tokens // self.num_lanes)
        trees = [prompts_of(tree) for tree in self.trees]
        for number, group in enumerate(micro_batches(trees, width)):
            known = self._kept.get(number)
            self.seconds_saved += known.seconds if known else 0.0
            rows = GrowingRows(self.base, group, self.num_lanes, copies, known)
            yield rows
            self._keep(number, rows.prefilled)

    def _keep(self, number: int, found: Prefilled | None) -> None:
        """Keep what a pass left, if there is room."""
        if found is None or number in self._kept or found.num_bytes > self.room_bytes:
            return
        self._kept[number] = found
        self.room_bytes -= found.num_bytes
