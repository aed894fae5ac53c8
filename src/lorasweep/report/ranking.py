"""Which run scored best, and which others the analysis cannot tell from it."""

from dataclasses import dataclass

from lorasweep.analysis.results import ranked
from lorasweep.folder.findings import BASE, DecoderAnalysis
from lorasweep.folder.records import Results, RunRecord
from lorasweep.folder.scores import Scores, scores_of

# scores, intervals and samples of the report are those of this decoder
DECODER = "greedy"


@dataclass(frozen=True)
class Scored:
    """A finished run and its scores."""

    run: RunRecord
    scores: Scores


@dataclass(frozen=True)
class Standing:
    """The best run by F1, and the other finished runs by what the analysis says of them."""

    best: Scored
    tied: list[Scored]
    behind: list[Scored]
    not_compared: list[Scored]


def analysis_of(results: Results) -> DecoderAnalysis | None:
    """Return what the analysis found, or None where there is none of the decoder's answers."""
    return results.analysis.decoders.get(DECODER) if results.analysis else None


def tied_runs(results: Results) -> set[str]:
    """Return the ids of the runs that are tied for best; none where nothing was compared."""
    found = analysis_of(results)
    return set(found.tied_best.members) if found and found.tied_best else set()


def is_outdated(found: DecoderAnalysis) -> bool:
    """Return whether two rules that may contradict each other told the runs apart, as before."""
    members = found.tied_best.members if found.tied_best else []
    return any(
        each.rank.is_shown == (each.run in members)
        for each in found.comparisons
        if each.run != BASE
    )


def best_group(results: Results) -> str:
    """Return the key of what the best runs are called: one alone is the best."""
    return "chart.best" if len(tied_runs(results)) < 2 else "chart.tied"


def scored_runs(results: Results) -> list[Scored]:
    """Return the finished runs that have scores, the best first, equal ones in their order."""
    found = ((run, scores_of(run.metrics, DECODER)) for run in ranked(results, DECODER))
    return [Scored(run, scores) for run, scores in found if scores is not None]


def standing(results: Results) -> Standing | None:
    """Hold every scored run against the best one; None where no run has scores."""
    scored = scored_runs(results)
    if not scored:
        return None
    best, *others = scored
    found, tied = analysis_of(results), tied_runs(results)
    compared = set(found.tied_best.p_values) if found and found.tied_best else set()
    if best.run.id not in compared:  # its answers are gone: what was compared is not with it
        compared = tied = set()
    return Standing(
        best,
        tied=[each for each in others if each.run.id in tied],
        behind=[each for each in others if each.run.id in compared - tied],
        not_compared=[each for each in others if each.run.id not in compared],
    )
