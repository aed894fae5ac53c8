"""Which run scored best, and which others its interval does not set apart from it."""

from dataclasses import dataclass

from lorasweep.records import Interval, Results, RunRecord, Scores, scores_of

# scores, intervals and samples of the report are those of this decoder
DECODER = "greedy"


@dataclass(frozen=True)
class Scored:
    """A finished run and its scores."""

    run: RunRecord
    scores: Scores


@dataclass(frozen=True)
class Standing:
    """The best run by F1, and the other finished runs by what their intervals say."""

    best: Scored
    overlapping: list[Scored]
    apart: list[Scored]
    without_interval: list[Scored]


def scored_runs(results: Results) -> list[Scored]:
    """Return the finished runs that have scores, the best F1 first."""
    found = ((run, scores_of(run.metrics, DECODER)) for run in results.runs if run.state == "done")
    scored = [Scored(run, scores) for run, scores in found if scores is not None]
    return sorted(scored, key=lambda each: (-each.scores.f1, each.run.label, each.run.id))


def standing(results: Results) -> Standing | None:
    """Hold every scored run against the best one; None where no run has scores."""
    scored = scored_runs(results)
    if not scored:
        return None
    best, *others = scored
    groups: dict[bool | None, list[Scored]] = {True: [], False: [], None: []}
    for other in others:
        groups[overlap(best.scores.f1_interval, other.scores.f1_interval)].append(other)
    return Standing(best, groups[True], groups[False], groups[None])


def overlap(first: Interval | None, second: Interval | None) -> bool | None:
    """Say whether two intervals share a point; None where one of them is not known."""
    if first is None or second is None:
        return None
    return first[0] <= second[1] and second[0] <= first[1]
