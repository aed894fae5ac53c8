"""Packs sized for the workers of a cluster: work for each, and no more than its memory holds."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from lorasweep.folder.records import LockedPack, LockedRun
from lorasweep.study.plan import Pack, PlannedRun

# A trained number in fp32: its value, its gradient and AdamW's two moments.
BYTES_PER_NUMBER = 16
# The rest is for the base model, for activations and for whoever else is on the machine.
SHARE_OF_LANES = 0.25


def sized(packs: Sequence[Pack], memory_bytes: Sequence[int]) -> list[Pack]:
    """Cut packs for workers in turn, given the memory of each worker's device.

    No pack has more lanes than give every worker some; none is cut where it fits.
    """
    if not packs:
        return []
    num_lanes = math.ceil(sum(len(pack.runs) for pack in packs) / len(memory_bytes))
    turns = itertools.cycle(memory_bytes)
    cuts = [cut for pack in packs for cut in _cuts(pack.runs, num_lanes, turns)]
    first = int(packs[0].id.rpartition("-")[2])
    return [replace(packs[0], id=f"pack-{i}", runs=cut) for i, cut in enumerate(cuts, first)]


def _cuts(
    runs: tuple[PlannedRun, ...], num_lanes: int, turns: Iterator[int]
) -> Iterator[tuple[PlannedRun, ...]]:
    # Even cuts first: 5 lanes over 2 workers are 3 and 2, not 4 and 1.
    num_lanes = math.ceil(len(runs) / math.ceil(len(runs) / num_lanes))
    while runs:
        memory, size = next(turns), num_lanes
        while size > 1 and not fits(runs[:size], memory):
            size -= 1
        yield runs[:size]
        runs = runs[size:]


def fits(runs: Sequence[PlannedRun | LockedRun], memory_bytes: int) -> bool:
    """Say whether what a pack trains takes no more than its share of a worker's memory."""
    numbers = sum(run.trainable_parameters for run in runs)
    return BYTES_PER_NUMBER * numbers <= SHARE_OF_LANES * memory_bytes


def pick(waiting: Sequence[LockedPack], memory_bytes: int, largest: int) -> LockedPack | None:
    """Return the first waiting pack that fits a worker, or None while a larger one may take it."""
    fitting = [pack for pack in waiting if fits(pack.runs, memory_bytes)]
    if not fitting and memory_bytes >= largest:
        return waiting[0] if waiting else None
    return fitting[0] if fitting else None
