"""Seconds per question of one training step: PEFT with transformers' model against lorasweep.

Contenders take turns and the median round counts: the machines are shared, so only ratios within
one run mean anything. Each contender's memory is the peak of a process of its own. The ceiling is
the rate of plain products at the layers' shapes, measured between the rounds.

    python benchmarks/training.py [--rounds 5] [--dropout 0.05] [--plain-allocator] [--out FOLDER]

For other instruction sets, run it under ONEDNN_MAX_CPU_ISA=AVX512_CORE or AVX2.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from contenders import NAMES, WARM_UP, Work, contender, examples, gpt2_tokenizer, names

from lorasweep.model.machine import describe, peak_memory_bytes, resolve_precision
from lorasweep.model.ops.allocator import keep_freed_memory

LAYER_SHAPES = ((768, 2304), (768, 768), (768, 3072), (3072, 768))


def matrix_rate(num_tokens: int = 1024, repeats: int = 5) -> float:
    """Return operations per second of packed products at GPT-2's shapes, in the fast precision."""
    dtype = torch.bfloat16 if resolve_precision("auto", "cpu") == "bf16" else torch.float32
    operations, seconds = 0, 0.0
    for inputs, outputs in LAYER_SHAPES:
        x, w = torch.randn(num_tokens, inputs, dtype=dtype), torch.randn(outputs, inputs)
        packed = torch.ops.mkldnn._reorder_linear_weight(w.to(dtype), None)
        torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], "")
        started = time.perf_counter()
        for _ in range(repeats):
            torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], "")
        seconds += time.perf_counter() - started
        operations += 2 * repeats * num_tokens * inputs * outputs
    return operations / seconds


def measure(rounds: int, dropout: float) -> tuple[dict[str, float], float]:
    """Return each contender's median seconds per question after rounds unmeasured, and the
    median ceiling in operations per second."""
    steps = {name: contender(name, dropout).step for name in names()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    rates = []
    for round_ in range(-WARM_UP, rounds):
        for name, step in steps.items():
            seconds = step()
            if round_ >= 0:
                times[name].append(seconds)
        if round_ >= 0:
            rates.append(matrix_rate())
    medians = {name: statistics.median(found) for name, found in times.items()}
    return medians, statistics.median(rates)


def peak_memory(name: str, options: argparse.Namespace) -> int:
    """Return the peak resident set, in bytes, of a process that takes two steps."""
    words = [sys.executable, __file__, "--memory-of", name, "--dropout", str(options.dropout)]
    if options.plain_allocator:
        words.append("--plain-allocator")
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1])


def findings(options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything."""
    memory = {name: peak_memory(name, options) for name in names()}
    medians, ceiling = measure(options.rounds, options.dropout)
    tokenizer = gpt2_tokenizer()
    work = {
        f"lorasweep, by {unit}": Work.of(examples(unit, tokenizer))
        for unit in ("question", "paragraph")
    }
    return {
        "machine": describe(),
        "isa": os.environ.get("ONEDNN_MAX_CPU_ISA", "all that it has"),
        "rounds": options.rounds,
        "dropout": options.dropout,
        "keeps_freed_memory": not options.plain_allocator,
        "seconds_per_question": medians,
        "peak_memory_bytes": memory,
        "ceiling_operations_per_second": ceiling,
        "share_of_ceiling": {
            name: w.operations_per_question / medians[name] / ceiling for name, w in work.items()
        },
    }


def table(found: dict[str, Any]) -> str:
    """Return the Markdown table, with what it was measured on."""
    medians, memory = found["seconds_per_question"], found["peak_memory_bytes"]
    recipe, tuned = medians["recipe, fp32"], medians["tuned"]
    allocator = "freed memory kept" if found["keeps_freed_memory"] else "the allocator's defaults"
    lines = [
        f"{found['machine']}; instructions: {found['isa']}; {found['rounds']} rounds, medians; "
        f"dropout {found['dropout']}; {allocator}; products reach "
        f"{found['ceiling_operations_per_second'] / 1e12:.2f} TFLOP/s",
        "",
        "| contender | ms a question | against recipe fp32 | against tuned | of the ceiling "
        "| peak GB |",
        "|---|---|---|---|---|---|",
    ]
    for name, seconds in medians.items():
        share = found["share_of_ceiling"].get(name)
        lines.append(
            f"| {name} | {1000 * seconds:.1f} | {recipe / seconds:.1f}x | {tuned / seconds:.1f}x | "
            f"{'' if share is None else f'{100 * share:.0f} %'} | {memory[name] / 1e9:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print the table, and keep both as files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--plain-allocator", action="store_true")
    parser.add_argument("--memory-of", choices=NAMES, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    if not options.plain_allocator:
        keep_freed_memory()
    if options.memory_of:
        stepping = contender(options.memory_of, options.dropout)
        stepping.step()
        stepping.step()
        print(peak_memory_bytes())
        return
    found = findings(options)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "training.json").write_text(json.dumps(found, indent=1) + "\n")
    (options.out / "training.md").write_text(table(found))
    print(table(found))


if __name__ == "__main__":
    main()
