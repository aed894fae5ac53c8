"""Cuts: an epoch's trees into batches, long trees into parts, parts into micro-batches."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from lorasweep.data.trees import Tree, padded_width

# What a pass costs beside its tokens, in tokens of all lanes: its many small operations, and
# products of few rows, which are slow. A card's is an estimate that was not measured.
PASS_TOKENS = {"cpu": 64, "cuda": 4096}
# Rows of so many tokens are never cut: what the square of that takes is little beside the rest, and
# a trunk that is computed again costs time. SQuAD's longest paragraphs have fewer.
WHOLE_ROW = 1024


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


def parts(trees: Iterable[Tree], max_tokens: int, num_lanes: int = 1) -> list[Tree]:
    """Cut trees that are longer than a micro-batch into parts: the same questions, trunks repeated.

    A row takes memory with the square of its tokens, and any number of questions may be on one
    text. Losses are the same. A part has at least as many tokens of branches as of its trunk, so
    that no more than as much again is computed; a row of `WHOLE_ROW` tokens is never cut.
    """
    bound = max(max_tokens // num_lanes, WHOLE_ROW)
    return [part for tree in trees for part in _parts(tree, bound)]


def longest_row(trees: Iterable[Tree]) -> int:
    """Return the tokens of the longest row where trees are cut as far as they can be."""
    return max(part.num_tokens for part in parts(trees, 1))


def _parts(tree: Tree, max_tokens: int) -> Iterator[Tree]:
    trunk = len(tree.trunk_ids)
    if tree.num_tokens <= max(max_tokens, 2 * trunk):
        yield tree
        return
    room = max(max_tokens - trunk, trunk)
    sizes = [len(branch.input_ids) for branch in tree.branches]
    start, skipped, taken = 0, tree.skipped, 0
    for end, size in enumerate(sizes):
        if taken and taken + size > room:
            yield replace(tree, branches=tree.branches[start:end], skipped=skipped)
            start, skipped, taken = end, skipped + taken, 0
        taken += size
    yield replace(tree, branches=tree.branches[start:], skipped=skipped)


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
