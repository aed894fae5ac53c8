"""Comparisons: which runs are tied for best, how far the others lie behind, and at what cost."""

from lorasweep.folder.findings import BASE, Comparison, DecoderAnalysis
from lorasweep.report.blocks import Block, Figure, Items, Notice, Paragraph, Section
from lorasweep.report.charts.analysis_charts import DifferencePoint, difference_chart
from lorasweep.report.charts.run_charts import GROUPS
from lorasweep.report.load import Outcome
from lorasweep.report.ranking import analysis_of, is_outdated
from lorasweep.report.tables import Cell, Column, Table
from lorasweep.report.words.language import Strings
from lorasweep.report.words.sentences import (
    em_sentence,
    f1_sentence,
    power_sentence,
    tied_sentence,
)

MOST_SENTENCES = 6


def comparisons(outcome: Outcome, say: Strings) -> Section:
    """Show the runs that are tied for best, and every run against the best one."""
    found = analysis_of(outcome.results)
    if found is None or found.tied_best is None:
        key = "comparisons.no_analysis" if found is None else "comparisons.no_runs"
        blocks: list[Block] = [Notice(say(key))]
    else:
        tied = tied_sentence(found, outcome.results, say)
        blocks = [Paragraph(f"{tied} {say('comparisons.how_to_read')}")]
        blocks += [Notice(say("comparisons.outdated"))] if is_outdated(found) else []
        blocks += _against_best(outcome, found, say)
        blocks += _limits(outcome, found, say)
    blocks += [Notice(note) for note in found.notes] if found else []
    return Section("comparisons", say("comparisons.title"), blocks)


def _against_best(outcome: Outcome, found: DecoderAnalysis, say: Strings) -> list[Block]:
    if not found.comparisons:
        return [Notice(say("comparisons.alone"))]
    nearest = [each for each in found.comparisons if each.run != BASE][:MOST_SENTENCES]
    base = [each for each in found.comparisons if each.run == BASE]
    sentences = [f1_sentence(each, outcome.results, say) for each in nearest + base]
    sentences += [em_sentence(each, outcome.results, say) for each in base]
    return [
        _figure(outcome, found, say),
        _table(outcome, found, say),
        Items(say("comparisons.sentences"), sentences),
    ]


def _figure(outcome: Outcome, found: DecoderAnalysis, say: Strings) -> Figure:
    groups = {key: say(f"chart.{key}") for key in ("tied", "behind", "base")}
    points = [_point(outcome, each, groups[_group(each, found)], say) for each in found.comparisons]
    best = outcome.names[found.best or ""]
    x_title, title = say("chart.behind_best", name=best), say("chart.group")
    rows = [f"{point.name} {say.signed(point.difference)}" for point in points]
    return Figure(
        "differences",
        say("comparisons.figure"),
        say("comparisons.figure_caption", name=best),
        say("comparisons.alternative", name=best, rows=say.list(rows, most=20)),
        difference_chart(points, list(groups.values()), x_title, title, say, palette=GROUPS),
    )


def _group(each: Comparison, found: DecoderAnalysis) -> str:
    """Return where a row stands, as the star of the leaderboard says it."""
    if each.run == BASE:
        return "base"
    return "tied" if found.tied_best and each.run in found.tied_best.members else "behind"


def _point(outcome: Outcome, each: Comparison, group: str, say: Strings) -> DifferencePoint:
    low, high = each.rank.interval or (None, None)
    return DifferencePoint(_name(outcome, each, say), group, each.rank.mean, low, high)


def _table(outcome: Outcome, found: DecoderAnalysis, say: Strings) -> Table:
    columns = [
        Column("label", say("column.label")),
        Column("f1_difference", say("column.f1_difference"), say.signed, "number"),
        Column("f1_interval", say("column.f1_interval"), say.signed_interval, "interval"),
        Column("f1_p_value", say("column.p_value"), say.p_value, "number"),
        Column("f1_adjusted_p_value", say("column.adjusted_p_value"), say.p_value, "number"),
        Column("em_difference", say("column.em_difference"), say.signed, "number"),
        Column("em_interval", say("column.em_interval"), say.signed_interval, "interval"),
        Column("em_adjusted_p_value", say("column.em_adjusted_p"), say.p_value, "number"),
        Column("mcnemar_p_value", say("column.mcnemar_p_value"), say.p_value, "number"),
    ]
    assert found.tied_best is not None
    members = found.tied_best.members
    rows = [_row(outcome, each, say) for each in found.comparisons]
    marked = frozenset(i for i, each in enumerate(found.comparisons) if each.run in members)
    caption = say("comparisons.caption", name=outcome.names[found.best or ""])
    return Table("comparisons", caption, columns, rows, marked)


def _row(outcome: Outcome, each: Comparison, say: Strings) -> list[Cell]:
    f1, em = each.rank, each.scores["exact_match"]
    return [
        _name(outcome, each, say), f1.mean, f1.interval, f1.p_value,
        f1.adjusted_p_value, em.mean, em.interval, em.adjusted_p_value, each.mcnemar_p_value,
    ]  # fmt: skip


def _name(outcome: Outcome, each: Comparison, say: Strings) -> str:
    return say("leaderboard.base") if each.run == BASE else outcome.names[each.run]


def _limits(outcome: Outcome, found: DecoderAnalysis, say: Strings) -> list[Block]:
    """Say what the questions could settle, and what choosing the best run does to its score."""
    results = outcome.results
    sentences = [power_sentence(found.power, results, say)] if found.power else []
    sentences += [say("sentences.selection_bias")] if found.selection_bias else []
    sentences += [
        say("comparisons.test", sentence=f1_sentence(each, results, say)) for each in found.test
    ]
    return [Items(say("comparisons.limits"), sentences)] if sentences else []
