"""Milliseconds per question and run of training on a card: PEFT against lorasweep's lanes.

GPT-2 124M of random weights, rank 4 on c_attn + c_proj, batches of 32 real questions, bf16, and
dropout 0 or the one asked for. PEFT is at its best: base weights in bf16, fp32 adapters, rows of
like length together, the head where labels are, a whole batch at once. Contenders take turns; the
median round counts.

    python benchmarks/card.py [--rounds 3] [--dropout 0.1] [--profile FOLDER] [--out FOLDER]
"""

import argparse
import json
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from contenders import BATCH, TARGETS, Peft, examples, gpt2_tokenizer, new_model, questions

from lorasweep.data.cuts import batches
from lorasweep.data.trees import Tree
from lorasweep.model.base import DTYPES, Base, freeze
from lorasweep.model.lora import Lane
from lorasweep.model.machine import (
    default_device,
    describe,
    peak_memory_bytes,
    reset_peak_memory,
    resolve_precision,
)
from lorasweep.running.locking import auto_micro_tokens
from lorasweep.study.sections import Recipe
from lorasweep.training.hooks import Hooks
from lorasweep.training.train import train_pack

LANES = (1, 2, 4, 8, 16, 25)
NUM_BATCHES = 8
Measured = dict[str, dict[str, float]]


def frozen_base(device: str) -> Base:
    """Return GPT-2 in the precision that is fast on the device."""
    base = freeze(new_model().to(device), gpt2_tokenizer())
    base.cast(DTYPES[resolve_precision("auto", device)])
    return base


def micro_tokens_for(base: Base) -> int:
    """Return the tokens of an automatic micro-batch for GPT-2 on its device."""
    device = base.device.type
    precision = resolve_precision("auto", device)
    shapes = [(linear.in_features, linear.out_features) for linear in base.linears.values()]
    return auto_micro_tokens(device, precision, shapes)


def new_lanes(base: Base, count: int, dropout: float) -> list[Lane]:
    """Return so many lanes alike."""
    modules = tuple(name for name in base.linears if name.endswith(TARGETS))
    return [Lane(modules, 4, 4.0, 1e-3, dropout, 0)] * count


def lanes_seconds(base: Base, trees: tuple[Tree, ...], count: int, dropout: float) -> float:
    """Train an epoch with so many lanes; return seconds per question and lane."""
    recipe, micro_tokens = Recipe(epochs=1, batch_size=BATCH), micro_tokens_for(base)
    with base.adapted(new_lanes(base, count, dropout)) as adapters:
        hooks = Hooks(evaluate=lambda: [0.0] * count)
        done = train_pack(base, adapters, trees, recipe, micro_tokens, hooks)
    return done.seconds / count / sum(len(tree.branches) for tree in trees)


def peft_seconds(peft: Peft, trees: tuple[Tree, ...]) -> float:
    """Train an epoch; return seconds per question."""
    seconds = []
    for batch in batches(trees, BATCH):
        peft.rows = questions(batch)
        seconds.append(peft.step())
    return statistics.mean(seconds)


def contenders(device: str, dropout: float) -> dict[str, Callable[[], float]]:
    """Return what takes turns: each trains and returns seconds per question and run."""
    tokenizer, base = gpt2_tokenizer(), frozen_base(device)
    precision = DTYPES[resolve_precision("auto", device)]
    by = {u: examples(u, tokenizer, NUM_BATCHES * BATCH) for u in ("question", "paragraph")}
    peft = Peft(by["question"], precision, precision != torch.float32, True, dropout, device, BATCH)
    found: dict[str, Callable[[], float]] = {
        "PEFT, tuned": partial(peft_seconds, peft, by["question"])
    }
    for unit, trees in by.items():
        for count in LANES if unit == "paragraph" else (1, LANES[-1]):
            name = f"lorasweep, by {unit}, {count} lane{'s' if count > 1 else ''}"
            found[name] = partial(lanes_seconds, base, trees, count, dropout)
    return found


def measure(rounds: int, dropout: float, device: str) -> Measured:
    """Return each contender's median seconds after one round unmeasured, and its peak of memory."""
    times: dict[str, list[float]] = {}
    peaks: dict[str, int] = {}
    each = contenders(device, dropout)
    for round_ in range(rounds + 1):
        for name, seconds in each.items():
            reset_peak_memory()
            taken = seconds()
            if round_:
                times.setdefault(name, []).append(taken)
            peaks[name] = max(peaks.get(name, 0), peak_memory_bytes())
    return {
        name: {"seconds": statistics.median(found), "peak_memory_bytes": peaks[name]}
        for name, found in times.items()
    }


def profile(folder: Path, device: str, dropout: float) -> None:
    """Write what takes the time of two batches, by the card's and by the processor's clock."""
    base = frozen_base(device)
    trees = examples("paragraph", gpt2_tokenizer(), 2 * BATCH)
    folder.mkdir(parents=True, exist_ok=True)
    for count in (1, 25):
        lanes_seconds(base, trees, count, dropout)
        with torch.profiler.profile() as found:
            lanes_seconds(base, trees, count, dropout)
        averages = found.key_averages()
        for clock in ("device", "cpu"):
            text = averages.table(sort_by=f"self_{clock}_time_total", row_limit=45)
            (folder / f"{count}-lanes-by-{clock}.txt").write_text(text)


def table(found: Measured, dropout: float) -> str:
    """Return the Markdown table, with what it was measured on."""
    first = found["PEFT, tuned"]["seconds"]
    lines = [
        f"{describe()}; {resolve_precision('auto', default_device())}; dropout {dropout}",
        "",
        "| contender | ms a question and run | against PEFT | peak GB |",
        "|---|---|---|---|",
    ]
    for name, each in found.items():
        lines.append(
            f"| {name} | {1000 * each['seconds']:.3f} | {first / each['seconds']:.1f}x | "
            f"{each['peak_memory_bytes'] / 1e9:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print the table, and keep both as files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--profile", type=Path, metavar="FOLDER")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    device = default_device()
    if options.profile:
        profile(options.profile, device, options.dropout)
        return
    found = measure(options.rounds, options.dropout, device)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "card.json").write_text(json.dumps(found, indent=1) + "\n")
    (options.out / "card.md").write_text(table(found, options.dropout))
    print(table(found, options.dropout))


if __name__ == "__main__":
    main()
