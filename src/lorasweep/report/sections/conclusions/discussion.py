"""Discussion and conclusion: what the findings come to, by rules and no further than the tests."""

from lorasweep.folder.findings import BASE, Ablation, Axis, DecoderAnalysis, Failures
from lorasweep.report.blocks import Block, Items, Notice, Paragraph, Section
from lorasweep.report.load import Outcome
from lorasweep.report.numbers import pointing
from lorasweep.report.ranking import analysis_of, standing, tied_runs
from lorasweep.report.words.language import Strings
from lorasweep.report.words.sentences import (
    edge_sentence,
    f1_sentence,
    power_sentence,
    tied_sentence,
)
from lorasweep.report.words.terms import RIGHT, term

MOST_CLASSES = 3


def discussion(outcome: Outcome, say: Strings) -> Section:
    """Say which axes mattered, what the best run still gets wrong, and what a score cost."""
    found = analysis_of(outcome.results)
    if found is None or found.tied_best is None:
        blocks: list[Block] = [Notice(say("discussion.none"))]
    else:
        texts = [
            *_axes(found.ablation, say),
            *_wrong(found.failures, say),
            *_cheapest(outcome, say),
        ]
        blocks = [Paragraph(text) for text in texts]
    return Section("discussion", say("discussion.title"), blocks)


def conclusion(outcome: Outcome, say: Strings) -> Section:
    """Say which runs may be best, what was gained, and what to try next."""
    found, best = analysis_of(outcome.results), standing(outcome.results)
    if best is None or found is None or found.tied_best is None:
        blocks: list[Block] = [Notice(say("conclusion.none"))]
    else:
        sentences = [tied_sentence(found, outcome.results, say)]
        sentences += [
            f1_sentence(each, outcome.results, say)
            for each in found.comparisons
            if each.run == BASE
        ]
        blocks = [Paragraph(" ".join(sentences))]
        if following := _next(outcome, found, say):
            blocks.append(Items(say("conclusion.next"), following))
    return Section("conclusion", say("conclusion.title"), blocks)


def _axes(found: Ablation | None, say: Strings) -> list[str]:
    """Name the axes of which a value's effect is told from 0, the largest share first."""
    measured = [axis for axis in found.axes if axis.levels] if found else []
    if not measured:
        return [say("discussion.no_axis")]
    measured.sort(key=lambda axis: -(axis.share or 0))
    return [pointing(" ".join(_axis(axis, say) for axis in measured), "main_effects")]


def _axis(axis: Axis, say: Strings) -> str:
    best = max(axis.levels, key=lambda level: level.effect)
    worst = min(axis.levels, key=lambda level: level.effect)
    if best.mean == worst.mean:
        return say("discussion.flat", axis=say(f"column.{axis.name}"))
    is_told = any(
        level.interval and (level.interval[0] > 0 or level.interval[1] < 0) for level in axis.levels
    )
    return say(
        "discussion.axis" if is_told else "discussion.no_effect",
        axis=say(f"column.{axis.name}"), best=say.axis_value(axis.name, best.value),
        worst=say.axis_value(axis.name, worst.value),
        difference=say.decimal(best.mean - worst.mean),
        share=say.percent(max(0.0, axis.share or 0.0)),
    )  # fmt: skip


def _wrong(found: Failures | None, say: Strings) -> list[str]:
    """Name the most frequent classes of the best run's wrong answers."""
    groups = [
        group
        for each in (found.breakdowns if found else [])
        if each.aspect == "failure"
        for group in each.best
        if group.value != RIGHT
    ]
    if not groups:
        return []
    groups.sort(key=lambda group: -group.count)
    total = sum(group.count for group in groups)
    rows = [
        f"{term(group.value, say)} ({say.percent(group.count / total)})"
        for group in groups[:MOST_CLASSES]
    ]
    return [pointing(say.count("discussion.wrong", total, classes=say.list(rows)), "failures")]


def _cheapest(outcome: Outcome, say: Strings) -> list[str]:
    """Name the run with the fewest parameters among those that are tied for best."""
    tied = [run for run in outcome.results.runs if run.id in tied_runs(outcome.results)]
    if len(tied) < 2:
        return []
    cheapest = min(tied, key=lambda run: run.trainable_parameters)
    dearest = max(tied, key=lambda run: run.trainable_parameters)
    if cheapest.trainable_parameters == dearest.trainable_parameters:
        return []
    words = say(
        "discussion.cheapest", name=outcome.names[cheapest.id],
        parameters=say.integer(cheapest.trainable_parameters),
        most=say.integer(dearest.trainable_parameters),
    )  # fmt: skip
    return [pointing(words, "f1_parameters")]


def _next(outcome: Outcome, found: DecoderAnalysis, say: Strings) -> list[str]:
    edges = found.ablation.edges if found.ablation else []
    sentences = [edge_sentence(edge, say) for edge in edges]
    sentences += [power_sentence(found.power, outcome.results, say)] if found.power else []
    sentences += [say("conclusion.test_set")] if "test" not in outcome.results.data else []
    sentences += [say("conclusion.seeds")] if not found.seeds else []
    return sentences
