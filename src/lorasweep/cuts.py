"""Cuts: an epoch's trees into batches, and the trees of a pass into micro-batches."""

from collections.abc import Iterable, Iterator, Sequence

import torch

from lorasweep.trees import Tree, padded_width

# What a pass costs beside its tokens, in tokens of all lanes: its many small operations, and
# products of few rows, which are slow.
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
    ends = _cheapest_ends(widths, max_tokens, cost)
    return [tuple(ordered[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


def _cheapest_ends(widths: Sequence[int], max_tokens: int, cost_of_group: int) -> list[int]:
    """Return where each group ends, for falling widths of rows: dynamic programming.

    `least[end]` is what the rows before `end` cost at least, `start_of[end]` where the last of
    their groups starts then.
    """
    least, start_of = [0], [0]
    for end in range(1, len(widths) + 1):
        starts = _possible_starts(widths, end, max_tokens)
        costs = {start: least[start] + widths[start] * (end - start) for start in starts}
        start_of.append(min(costs, key=lambda start: (costs[start], start)))
        least.append(costs[start_of[end]] + cost_of_group)
    ends = [len(widths)] if widths else []
    while ends and start_of[ends[-1]] > 0:
        ends.append(start_of[ends[-1]])
    return ends[::-1]


def _possible_starts(widths: Sequence[int], end: int, max_tokens: int) -> Iterator[int]:
    """Yield where a group may start that ends here: rows further ahead are wider."""
    yield end - 1
    for start in range(end - 2, -1, -1):
        if widths[start] * (end - start) > max_tokens:
            return
        yield start
