"""What sampling by paragraph costs and gains: F1 and training time beside sampling by question.

    python benchmarks/sampling.py [out/by-question] [out/by-paragraph] [out/by-paragraph-6000]

Each folder is a finished study's of one setting in several seeds, scored on the same questions;
the first is what the others are held against. A question's score is its mean over the seeds.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lorasweep.errors import UserError
from lorasweep.folder.store import Store
from lorasweep.scoring.answer_scores import by_question
from lorasweep.scoring.stats.clusters import Clusters, Floats
from lorasweep.scoring.stats.intervals import bootstrap_interval
from lorasweep.scoring.stats.paired import paired_difference, sentence

FOLDERS = ("out/by-question", "out/by-paragraph", "out/by-paragraph-6000")


@dataclass(frozen=True)
class Sampled:
    """One way of sampling: F1 of its seeds [seeds, questions], what it cost, on which questions."""

    name: str
    f1: Floats
    train_seconds: Floats
    questions: tuple[str, ...]
    paragraphs: tuple[str, ...]


def main() -> None:
    """Print the table, and a sentence for every way beside the first."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path, default=[Path(name) for name in FOLDERS])
    ways = [read(folder) for folder in parser.parse_args().folders]
    if len({way.questions for way in ways}) > 1:
        raise UserError("the folders were not scored on the same questions")
    clusters = Clusters.of(ways[0].paragraphs)
    print(
        "| sampled | F1 by seed | F1 | 95 % interval | training, s a run |\n|---|---|---|---|---|"
    )
    for way in ways:
        print(line(way, clusters))
    for way in ways[1:]:
        found = paired_difference(way.f1.mean(0), ways[0].f1.mean(0), clusters)
        print(f"- {sentence(way.name, ways[0].name, 'F1', found)}")


def read(folder: Path) -> Sampled:
    """Read the greedy answers of all finished runs of a folder."""
    store = Store(folder)
    runs = [run for run in store.read_results().runs if run.state == "done"]
    answers = [
        [rows[0] for rows in by_question(store.of_run(run.id).read_predictions("greedy"))]
        for run in runs
    ]
    if not answers:
        raise UserError(f"{folder}: no finished run")
    return Sampled(
        folder.name,
        np.array([[100 * row.scores["f1"] for row in rows] for rows in answers]),
        np.array([run.train_seconds for run in runs]),
        tuple(row.id for row in answers[0]),
        tuple(row.paragraph for row in answers[0]),
    )


def line(way: Sampled, clusters: Clusters) -> str:
    """Return a row of the table."""
    interval = bootstrap_interval(way.f1.mean(0), clusters)
    seeds = ", ".join(f"{mean:.1f}" for mean in way.f1.mean(1))
    return (
        f"| {way.name} | {seeds} | {interval.mean:.1f} | {interval.low:.1f} to {interval.high:.1f} "
        f"| {way.train_seconds.mean():.0f} |"
    )


if __name__ == "__main__":
    main()
