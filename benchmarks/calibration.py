"""Whether the tests and intervals err as often as they say, on real answers.

python benchmarks/calibration.py FOLDER [--decoder nucleus-0.9] [--halves 1000] [--keep FILE]

FOLDER is a finished study's. A/A comparisons take two draws of one sampling decoder, so that there
is no difference to find: for each of many random halves of the paragraphs, and in each paragraph
anew, chance decides which two draws are held against each other. Coverage takes the measured
paragraphs of the chosen run's greedy answers for all that there are, draws some of them with
replacement, and asks whether the interval holds the mean over all: the clustering is the measured
one, the truth is known. --keep writes the scores of the draws, by paragraph and question, and no
text: `tests/scoring/stats/test_calibration.py` compares them again.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lorasweep.errors import UserError
from lorasweep.folder.scores import Prediction
from lorasweep.folder.store import Store
from lorasweep.scoring.answer_scores import by_question
from lorasweep.scoring.stats.clusters import Clusters
from lorasweep.scoring.stats.intervals import bootstrap_interval
from lorasweep.scoring.stats.paired import paired_difference

NUM_SIMULATIONS, DRAWS = 1000, 1000
NUM_PARAGRAPHS = (20, 50, 100, 200)
METRICS = {"EM": "exact_match", "F1": "f1"}
# The scores of a paragraph's questions by their draws: [questions, draws].
Scores = NDArray[np.float64]


def main() -> None:
    """Print the shares that docs/calibration.md shows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--decoder", help="one that samples, for A/A comparisons")
    parser.add_argument("--halves", type=int, default=1000)
    parser.add_argument("--keep", type=Path, metavar="FILE", help="write the draws' scores")
    arguments = parser.parse_args()
    store = Store(arguments.folder)
    chosen = store.read_results().chosen
    assert chosen is not None, "the study has no finished run"
    if arguments.decoder:
        rows = store.of_run(chosen).read_predictions(arguments.decoder)
        if arguments.keep:
            keep(rows, arguments.keep)
        print_a_a(rows, arguments.decoder, arguments.halves)
    print_coverage(store.of_run(chosen).read_predictions("greedy"))


def print_a_a(rows: Sequence[Prediction], decoder: str, halves: int) -> None:
    """Print how often equal systems are said to differ, at the 5 % level."""
    for name, metric in METRICS.items():
        paragraphs = scores_by_paragraph(rows, metric)
        if not paragraphs or paragraphs[0].shape[1] < 2:
            raise UserError(f"no two draws by {decoder} in this folder")
        by_test, by_interval = false_alarms(paragraphs, halves, np.random.default_rng(0))
        print(
            f"A/A, {name}, two draws by {decoder}, {halves:,} random halves of "
            f"{len(paragraphs)} paragraphs: the permutation test rejects in {by_test:.1%}, "
            f"the interval excludes 0 in {by_interval:.1%} (nominal 5 %)"
        )


def keep(rows: Sequence[Prediction], file: Path) -> None:
    """Write the scores [paragraph][question][draw] of each metric."""
    scores = {
        name: [np.round(of_one, 2).tolist() for of_one in scores_by_paragraph(rows, metric)]
        for name, metric in METRICS.items()
    }
    file.write_text(json.dumps(scores, separators=(",", ":")) + "\n")


def print_coverage(rows: Sequence[Prediction]) -> None:
    """Print how often 95 % intervals hold the truth, by the number of paragraphs."""
    for name, metric in METRICS.items():
        paragraphs = [scores[:, 0] for scores in scores_by_paragraph(rows, metric)]
        for number in NUM_PARAGRAPHS:
            covered = coverage(paragraphs, number, np.random.default_rng(number))
            print(f"coverage, {name}, {number} paragraphs drawn: {covered:.1%} (nominal 95 %)")


def scores_by_paragraph(rows: Sequence[Prediction], metric: str) -> list[Scores]:
    """Return the scores, 0 to 100, of each paragraph's questions and draws."""
    found: dict[str, list[list[float]]] = {}
    for draws in by_question(rows):
        scores = [100 * getattr(row, metric) for row in draws]
        found.setdefault(draws[0].paragraph, []).append(scores)
    return [np.array(scores) for scores in found.values()]


def false_alarms(
    paragraphs: Sequence[Scores], halves: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Return the shares of halves in which the test, and the interval, see a difference."""
    by_test = by_interval = 0
    for _ in range(halves):
        half = rng.choice(len(paragraphs), len(paragraphs) // 2, replace=False)
        pairs = [paragraphs[p][:, rng.permutation(paragraphs[p].shape[1])[:2]] for p in half]
        a, b = np.concatenate(pairs).T
        labels = np.repeat(np.arange(len(pairs)), [len(pair) for pair in pairs])
        found = paired_difference(a, b, Clusters.of(labels), draws=DRAWS)
        by_test += found.p_value <= 0.05
        by_interval += found.excludes_zero
    return by_test / halves, by_interval / halves


def coverage(paragraphs: Sequence[Scores], number: int, rng: np.random.Generator) -> float:
    """Return the share of simulations in which the interval holds the mean over all questions."""
    truth, covered = float(np.concatenate(list(paragraphs)).mean()), 0
    for seed in range(NUM_SIMULATIONS):
        drawn = [paragraphs[p] for p in rng.integers(len(paragraphs), size=number)]
        labels = np.repeat(np.arange(number), [len(scores) for scores in drawn])
        interval = bootstrap_interval(
            np.concatenate(drawn), Clusters.of(labels), draws=DRAWS, seed=seed
        )
        covered += interval.low is not None and interval.low <= truth <= (interval.high or 0.0)
    return covered / NUM_SIMULATIONS


if __name__ == "__main__":
    main()
