"""Where a training step's processor time goes: GPT-2 124M of random weights, sampled by paragraph.

    python benchmarks/step_profile.py [--unit question] [--dropout 0.05] [--top 25]

Time is what each operation takes itself, without those that it calls; the profiler's own is in it.
"""

import argparse

from contenders import Lorasweep, contender
from torch.profiler import ProfilerActivity, profile

from lorasweep.model.machine import describe
from lorasweep.model.ops.allocator import keep_freed_memory

WARM_UP = 4


def main() -> None:
    """Take steps to warm up and one under the profiler; print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--unit", choices=("paragraph", "question"), default="paragraph")
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--top", type=int, default=25)
    options = parser.parse_args()
    keep_freed_memory()
    stepping = contender(f"lorasweep, by {options.unit}", options.dropout)
    assert isinstance(stepping, Lorasweep)
    # New memory is paid for at its first use: steps are alike from the third or fourth on.
    plain = [stepping.step() for _ in range(WARM_UP)][-1]
    with profile(activities=[ProfilerActivity.CPU]) as found:
        stepping.step()
    print(f"{describe()}; by {options.unit}, dropout {options.dropout}")
    print(f"{1000 * plain:.1f} ms a question without the profiler")
    for line in table(found, options.top):
        print(line)


def table(found: profile, top: int) -> list[str]:
    """Return the operations that take most, with their shares, as a Markdown table."""
    rows = sorted(found.key_averages(), key=lambda row: -row.self_cpu_time_total)
    total = sum(row.self_cpu_time_total for row in rows)
    lines = ["", "| operation | share | calls |", "|---|---|---|"]
    for row in rows[:top]:
        lines.append(f"| `{row.key}` | {row.self_cpu_time_total / total:.1%} | {row.count} |")
    return lines


if __name__ == "__main__":
    main()
