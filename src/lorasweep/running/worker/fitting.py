"""Whether a pack of adapters fits a processor's memory, from a first step of one lane."""

from collections.abc import Sequence

from lorasweep.data.cuts import parts
from lorasweep.data.trees import Tree, lay_out
from lorasweep.folder.records import LockedPack
from lorasweep.model.base import Base
from lorasweep.model.machine import (
    TooLargeError,
    free_memory_bytes,
    peak_memory_bytes,
    reset_peak_memory,
    resident_bytes,
)
from lorasweep.model.ops.allocator import give_back_freed_memory
from lorasweep.running.worker.jobs import lane_of
from lorasweep.training.loss import answer_loss


def refuse_too_large(
    base: Base, trees: Sequence[Tree], pack: LockedPack, micro_tokens: int
) -> None:
    """Raise TooLargeError where a first step of one lane says that all lanes do not fit.

    A processor's system would kill the process, without a word.
    """
    free = free_memory_bytes()
    if len(pack.runs) == 1 or free is None:
        return
    needed = len(pack.runs) * _bytes_of_a_lane(base, trees, pack, micro_tokens)
    if needed > free:
        raise TooLargeError(
            f"a first step says that it needs {needed / 1e9:.1f} GB, "
            f"and {free / 1e9:.1f} GB are free"
        )


def _bytes_of_a_lane(base: Base, trees: Sequence[Tree], pack: LockedPack, micro_tokens: int) -> int:
    """Measure what one lane takes in a micro-batch of the longest trees."""
    largest = max(pack.runs, key=lambda run: run.trainable_parameters)
    cut = parts(trees, micro_tokens, len(pack.runs))
    longest = sorted(cut, key=lambda tree: -tree.num_tokens)
    group = longest[: max(1, micro_tokens // len(pack.runs) // longest[0].num_tokens)]
    give_back_freed_memory()
    reset_peak_memory()
    before = resident_bytes()
    with base.adapted([lane_of(largest)]) as adapters:
        loss = answer_loss(base, lay_out(group, base.device), 1)
        adapters.accumulate(loss.sum())
        # The optimizer's two moments come to what values and gradients take.
        moments = 2 * adapters.values_KP.nbytes
    return max(0, peak_memory_bytes() - before) + moments
