"""Micro-batches by the cheapest cuts against rows filled up to the bound, the longest first.

Padding by both, as a share of the tokens that are there, over the batches of 2,000 real questions;
how many shapes a card would meet; and, in turns, milliseconds a question of training steps on some
of them, at the bound of 2,048 that the other benchmarks have: GPT-2 124M of random weights, one
lane of rank 4.

    python benchmarks/cuts.py [--rounds 4] [--questions 96]
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from contenders import BATCH, MICRO_TOKENS, WARM_UP, Lorasweep, examples, gpt2_tokenizer

from lorasweep.data.cuts import batches, micro_batches
from lorasweep.data.trees import Tree, padded_width
from lorasweep.model.machine import describe, resolve_precision
from lorasweep.model.ops.allocator import keep_freed_memory
from lorasweep.running.locking import AUTO_MICRO_TOKENS
from lorasweep.training import train as train_module
from lorasweep.training.train import epoch_order

UNITS, BOUNDS, NUM_QUESTIONS = ("paragraph", "question"), (512, 1024, 2048), 2000
Cut = Callable[..., list[tuple[Tree, ...]]]


def filled(
    trees: Sequence[Tree], max_tokens: int, num_lanes: int = 1, *_: Any
) -> list[tuple[Tree, ...]]:
    """Cut as lorasweep did at first: a micro-batch takes rows while they fit."""
    groups: list[list[Tree]] = []
    for tree in sorted(trees, key=lambda t: (-t.num_tokens, t.id)):
        if groups and groups[-1][0].num_tokens * (len(groups[-1]) + 1) * num_lanes <= max_tokens:
            groups[-1].append(tree)
        else:
            groups.append([tree])
    return [tuple(group) for group in groups]


CUTS: dict[str, Cut] = {"filled": filled, "cheapest": micro_batches}


def padding(trees: Sequence[Tree], cut: Cut, bound: int) -> tuple[float, int]:
    """Return padding as a share of the tokens that are there, and the number of micro-batches."""
    groups = [group for batch in batches(trees, BATCH) for group in cut(batch, bound)]
    computed = sum(len(group) * max(t.num_tokens for t in group) for group in groups)
    return computed / sum(tree.num_tokens for tree in trees) - 1, len(groups)


def card_shapes(trees: Sequence[Tree]) -> tuple[int, int]:
    """Return the micro-batches of five epochs with 25 lanes on a card, and their shapes."""
    orders = [epoch_order(trees, 0, epoch) for epoch in range(5)]
    groups = [
        group
        for order in orders
        for batch in batches(order, BATCH)
        for group in micro_batches(batch, AUTO_MICRO_TOKENS["cuda"], 25, "cuda")
    ]
    shapes = {(len(g), padded_width(max(t.num_tokens for t in g), "cuda")) for g in groups}
    return len(groups), len(shapes)


def print_padding(tokenizer: Any) -> None:
    """Print padding by both cuts, and what a card would meet."""
    print("| sampled by | bound | padding, filled | padding, cheapest |\n|---|---|---|---|")
    for unit in UNITS:
        trees = epoch_order(examples(unit, tokenizer, NUM_QUESTIONS), 0, 0)
        for bound in BOUNDS:
            cells = [padding(trees, cut, bound) for cut in CUTS.values()]
            shown = " | ".join(f"{100 * share:.0f} % in {count}" for share, count in cells)
            print(f"| {unit} | {bound} | {shown} |")
    count, shapes = card_shapes(examples("paragraph", tokenizer, NUM_QUESTIONS))
    print(f"\n25 lanes on a card, five epochs: {count} micro-batches of {shapes} shapes")


def print_times(tokenizer: Any, rounds: int, num_questions: int) -> None:
    """Print what training takes by both cuts."""
    print(f"\n{describe()}; bound {MICRO_TOKENS}; medians of {rounds} rounds in turns\n")
    print("| sampled by | filled, ms a question | cheapest | ratio |\n|---|---|---|---|")
    precision = resolve_precision("auto", "cpu")
    for unit in UNITS:
        stepping = Lorasweep(examples(unit, tokenizer, num_questions), tokenizer, precision)
        before, after = (1000 * seconds for seconds in medians(stepping, rounds))
        print(f"| {unit} | {before:.1f} | {after:.1f} | {before / after:.2f}x |")


def medians(stepping: Lorasweep, rounds: int) -> list[float]:
    """Return the median seconds a question by each cut, in batches of 32."""
    times: dict[str, list[float]] = {name: [] for name in CUTS}
    for round_ in range(-WARM_UP, rounds):
        for name, cut in CUTS.items():
            train_module.micro_batches = cut
            seconds = stepping.step(BATCH)
            if round_ >= 0:
                times[name].append(seconds)
    return [statistics.median(found) for found in times.values()]


def main() -> None:
    """Print padding, then times."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--questions", type=int, default=96)
    options = parser.parse_args()
    keep_freed_memory()
    tokenizer = gpt2_tokenizer()
    print_padding(tokenizer)
    print_times(tokenizer, options.rounds, options.questions)


if __name__ == "__main__":
    main()
