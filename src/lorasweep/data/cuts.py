"""Cuts: an epoch's trees into batches, and the trees of a pass into micro-batches."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from lorasweep.data.trees import Tree, padded_width

# What a pass costs beside its tokens, in tokens of all lanes: its many small operations, and
# products of few rows, which are slow. A card's is an estimate that was not measured.
PASS_TOKENS = {"cpu": 64, "cuda": 4096}


def batches(trees: Sequence[Tree], batch_size: int) -> Iterator[tuple[Tree, ...]]:
    """Yield batches of whole trees, each taken until it holds at least `batch_size` questions."""
    batch: list[Tree] = []
    for tree in trees:
        batch.append(tree)
        if sum(len(t.branches) for t in batch) >= batch_size:
            yield tuple(batch)
            batch = []
    if batch:
        yield tuple(batch)


def micro_batches(
    trees: Iterable[Tree],
    max_tokens: int,
    num_lanes: int = 1,
    device: torch.device | str = "cpu",
    num_passes: int = 1,
) -> list[tuple[Tree, ...]]:
    """Cut trees into groups of rows of like length that cost the least time together.

    A group has at most `max_tokens` tokens, all lanes and padding counted, or a single tree. It
    costs its tokens and those that stand for its passes: one, or more where rows grow.
    """
    ordered = sorted(trees, key=lambda t: (-t.num_tokens, t.id))
    widths = [num_lanes * padded_width(tree.num_tokens, device) for tree in ordered]
    cost = num_passes * PASS_TOKENS[torch.device(device).type]
    ends = _cheapest_ends(np.array(widths), max_tokens, cost)
    return [tuple(ordered[start:end]) for start, end in pairwise([0, *ends])]


def _cheapest_ends(widths: NDArray[np.int64], max_tokens: int, cost_of_group: int) -> list[int]:
    """Return where each group ends, for falling widths of rows: dynamic programming.

    `least[end]` is what the rows before `end` cost at least, `start_of[end]` where the last of
    their groups starts then. Rows further ahead are wider, so the first start that may be only
    moves on.
    """
    least, start_of, first = np.zeros(len(widths) + 1, dtype=np.int64), [0], 0
    for end in range(1, len(widths) + 1):
        while first < end - 1 and widths[first] * (end - first) > max_tokens:
            first += 1
        rows = np.arange(end - first, 0, -1)
        costs = least[first:end] + widths[first:end] * rows
        cheapest = int(costs.argmin())
        start_of.append(first + cheapest)
        least[end] = costs[cheapest] + cost_of_group
    ends = [len(widths)] if len(widths) else []
    while ends and start_of[ends[-1]] > 0:
        ends.append(start_of[ends[-1]])
    return ends[::-1]
