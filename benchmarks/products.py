"""Rates of frozen products at the layers' shapes: packed, packed in two parts by outputs, plain.

Ways take turns, and the best of the rounds is shown beside the median: the machines are shared, and
a way that has one thread alone shows by a best of half the others'.

    python benchmarks/products.py [--rounds 25] [--rows 512 1024 2048]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from lorasweep.model.base import DTYPES
from lorasweep.model.machine import describe, resolve_precision
from lorasweep.model.ops.allocator import keep_freed_memory

# Inputs and outputs of GPT-2's and SmolLM2's maps, both ways; SmolLM2's queries, keys and
# values as one map, and its gate and up as one.
SHAPES = (
    *((768, 2304), (2304, 768), (768, 768), (768, 3072), (3072, 768)),
    *((576, 576), (576, 192), (192, 576), (576, 1536), (1536, 576)),
    *((576, 960), (960, 576), (576, 3072), (3072, 576)),
)
Way = Callable[[], Tensor]


def packed(x: Tensor, weight: Tensor) -> Way:
    """Return the product with a weight packed once."""
    ready = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), None)
    return lambda: torch.ops.mkldnn._linear_pointwise(x, ready, None, "none", [], "")


def in_two_parts(x: Tensor, weight: Tensor) -> Way:
    """Return the product with both halves of the outputs, one after the other."""
    first, second = (packed(x, half) for half in weight.chunk(2))
    return lambda: torch.cat([first(), second()], dim=1)


def rates(rows: int, inputs: int, outputs: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Return each way's median and best TFLOP/s, after one round unmeasured."""
    dtype = DTYPES[resolve_precision("auto", "cpu")]
    x, w = torch.randn(rows, inputs, dtype=dtype), torch.randn(outputs, inputs, dtype=dtype)
    ways: dict[str, Way] = {
        "packed": packed(x, w),
        "in two parts": in_two_parts(x, w),
        "plain": lambda: F.linear(x, w),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(rounds + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            if round_:
                times[name].append(time.perf_counter() - started)
    work = 2 * rows * inputs * outputs / 1e12
    return {name: (work / statistics.median(t), work / min(t)) for name, t in times.items()}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--rows", type=int, nargs="+", default=[512, 1024, 2048])
    options = parser.parse_args()
    keep_freed_memory()
    print(f"{describe()}; TFLOP/s, the median and the best of {options.rounds} rounds\n")
    print("| rows | map | packed | in two parts | plain |\n|---|---|---|---|---|")
    for rows in options.rows:
        for inputs, outputs in SHAPES:
            found = rates(rows, inputs, outputs, options.rounds)
            cells = " | ".join(f"{median:.2f}, {best:.2f}" for median, best in found.values())
            print(f"| {rows} | {inputs} to {outputs} | {cells} |")


if __name__ == "__main__":
    main()
