"""What a race saves on a grid, and whether its winner is the one of the same grid without a race.

    python benchmarks/race.py out/grid75-raced [docs/example/results.json]

The first is the raced study's folder, the second the results of the unraced one; runs are known by
their labels. Seconds depend on what else the machine does: steps do not.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

from lorasweep.folder.records import Results, RunRecord

UNRACED = Path(__file__).parents[1] / "docs" / "example" / "results.json"


def main() -> None:
    """Print what was stopped where, what it saved, and how the winners compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("raced", type=Path)
    parser.add_argument("unraced", type=Path, nargs="?", default=UNRACED)
    options = parser.parse_args()
    raced, unraced = read(options.raced / "results.json"), read(options.unraced)
    for line in (*savings(raced.runs), *winners(raced, unraced)):
        print(line)


def read(path: Path) -> Results:
    """Read a study's results."""
    return Results.model_validate(json.loads(path.read_text()))


def savings(runs: list[RunRecord]) -> list[str]:
    """Say how many runs were stopped at which rung, and what share of all steps was trained."""
    rungs = Counter(run.stop.fraction for run in runs if run.stop)
    trained = sum(run.stop.step if run.stop else run.num_steps for run in runs)
    planned = sum(run.stop.num_steps if run.stop else run.num_steps for run in runs)
    seconds = sum(run.train_seconds for run in runs)
    stopped = ", ".join(f"{count} at {fraction:.0%}" for fraction, count in sorted(rungs.items()))
    return [
        f"{sum(rungs.values())} of {len(runs)} runs were stopped: {stopped} of training",
        f"{trained:,} of {planned:,} steps were trained ({trained / planned:.0%}), in "
        f"{seconds:,.0f} s; at as many a step all would take {seconds * planned / trained:,.0f} s",
    ]


def winners(raced: Results, unraced: Results) -> list[str]:
    """Say who won with and without a race, and which tied runs the race had stopped."""
    before = {run.id: run for run in unraced.runs}
    tied = [before[i] for i in tied_best(unraced)]
    now = {run.label: run for run in raced.runs}
    winner = next(run for run in raced.runs if run.id == raced.chosen)
    is_tied = winner.label in {run.label for run in tied}
    lost = [run.label for run in tied if now[run.label].stop]
    best = before[unraced.chosen or ""]
    return [
        f"winner of the race: {winner.label} (F1 {f1(winner):.1f}); without one: {best.label} "
        f"(F1 {f1(best):.1f})",
        f"the race's winner {'is' if is_tied else 'is not'} in the unraced tied-best set of "
        f"{len(tied)}",
        f"of that set, the race finished {len(tied) - len(lost)} and stopped {len(lost)}: "
        f"{', '.join(lost)}",
        f"tied for best among the {sum(1 for run in raced.runs if not run.stop)} finished: "
        f"{', '.join(run.label for run in raced.runs if run.id in set(tied_best(raced)))}",
    ]


def tied_best(results: Results) -> list[str]:
    """Return the runs that are tied for best by greedy answers."""
    assert results.analysis is not None, "the study has no analysis"
    found = results.analysis.decoders["greedy"].tied_best
    return found.members if found else []


def f1(run: RunRecord) -> float:
    """Return the F1 of a run's greedy answers."""
    scores = run.metrics["greedy"]
    assert not isinstance(scores, float)
    return scores.rank.mean


if __name__ == "__main__":
    main()
