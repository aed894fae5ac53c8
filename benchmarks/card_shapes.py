"""What new shapes cost a card: 25 lanes trained and answering in a process that is just starting.

GPT-2 124M of random weights, rank 4 on c_attn + c_proj, dropout 0.1, one epoch of 750 questions by
paragraph; then answers of 16 tokens to the questions of forty paragraphs, and of forty others.

    python benchmarks/card_shapes.py [--width 32] [--cudnn]
"""

import argparse
import time
from itertools import pairwise

from card import LANES, frozen_base, micro_tokens_for, new_lanes
from contenders import BATCH, examples, gpt2_tokenizer
from torch.nn.attention import SDPBackend

from lorasweep.answering.decode.prompts import Prompts
from lorasweep.answering.decode.strategies import decode_greedy
from lorasweep.data import trees as trees_module
from lorasweep.data.trees import Tree
from lorasweep.model.base import Base
from lorasweep.model.machine import default_device, describe
from lorasweep.model.ops import attention
from lorasweep.study.sections import Recipe
from lorasweep.training.hooks import Hooks, StepEvent
from lorasweep.training.train import train_pack

NUM_QUESTIONS, NUM_PARAGRAPHS, NUM_NEW, COUNT, DROPOUT = 750, 40, 16, LANES[-1], 0.1
A_FIFTH = NUM_QUESTIONS // 5


def answering_seconds(base: Base, trees: tuple[Tree, ...], micro_tokens: int) -> float:
    """Answer with the attached adapters; return the seconds."""
    started = time.perf_counter()
    prompts = Prompts(base, trees, COUNT, micro_tokens)
    list(decode_greedy(prompts, NUM_NEW))
    return time.perf_counter() - started


def measure(base: Base, trees: tuple[Tree, ...]) -> None:
    """Print how fast training is as it goes on, and what answers take at first and later."""
    recipe, micro_tokens = Recipe(epochs=1, batch_size=BATCH), micro_tokens_for(base)
    marks, done = [(0, time.perf_counter())], 0

    def on_step(event: StepEvent) -> None:
        nonlocal done
        done += event.num_questions
        if done - marks[-1][0] >= A_FIFTH:
            marks.append((done, time.perf_counter()))

    with base.adapted(new_lanes(base, COUNT, DROPOUT)) as adapters:
        hooks = Hooks(evaluate=lambda: [0.0] * COUNT, on_step=on_step)
        trained = train_pack(base, adapters, trees, recipe, micro_tokens, hooks)
        rates = [f"{(b[0] - a[0]) / (b[1] - a[1]):.0f}" for a, b in pairwise(marks)]
        print(f"training {trained.seconds:.1f} s, questions/s {', '.join(rates)}")
        for first in (0, NUM_PARAGRAPHS):
            part = trees[first : first + NUM_PARAGRAPHS]
            seconds = answering_seconds(base, part, micro_tokens)
            print(f"answers of {len(part)} paragraphs {seconds:.2f} s")


def main() -> None:
    """Measure one choice; a process starts but once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=trees_module.WIDTHS["cuda"])
    parser.add_argument("--cudnn", action="store_true", help="let torch choose its attention")
    options = parser.parse_args()
    trees_module.WIDTHS["cuda"] = options.width
    if options.cudnn:
        attention.FUSED.insert(0, SDPBackend.CUDNN_ATTENTION)
    print(describe())
    trees = examples("paragraph", gpt2_tokenizer(), NUM_QUESTIONS)
    measure(frozen_base(default_device()), trees)


if __name__ == "__main__":
    main()
