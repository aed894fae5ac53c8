"""Overfitting: losses on new questions beside those on questions that were trained on."""

from collections.abc import Sequence

from lorasweep.folder.findings import LevelGap, LossGap, Overfitting
from lorasweep.report.blocks import Block, Figure, Notice, Paragraph, Section
from lorasweep.report.charts.analysis_charts import DifferencePoint, difference_chart
from lorasweep.report.load import Outcome
from lorasweep.report.ranking import scored_runs
from lorasweep.report.tables import Column, Table
from lorasweep.report.words.language import Strings

DIGITS = 3  # of losses


def overfitting(outcome: Outcome, say: Strings) -> Section:
    """Show the gap of each run, and how it goes with rank, learning rate and other axes."""
    analysis = outcome.results.analysis
    found = analysis.overfitting if analysis else None
    if found is None or not found.runs:
        blocks: list[Block] = [Notice(say("overfitting.none"))]
    else:
        blocks = _blocks(found, outcome, say)
    return Section("overfitting", say("overfitting.title"), blocks)


def _blocks(found: Overfitting, outcome: Outcome, say: Strings) -> list[Block]:
    words = say(
        "overfitting.how_to_read",
        eval_paragraphs=say.integer(found.num_eval_paragraphs),
        train_paragraphs=say.integer(found.num_train_paragraphs),
    )
    blocks: list[Block] = [Paragraph(words), *_sentences(found, outcome, say)]
    if found.levels:
        blocks += [_figure(found.levels, say), _level_table(found.levels, say)]
    blocks.append(_table(found, outcome, say))
    return [*blocks, *(Notice(note) for note in found.notes)]


def _sentences(found: Overfitting, outcome: Outcome, say: Strings) -> list[Block]:
    """Say what the best run's gap shows, and what the base model's is."""
    gaps = {each.run: each for each in found.runs}
    best = next((each.run.id for each in scored_runs(outcome.results)), "")
    blocks: list[Block] = []
    if best in gaps:
        blocks.append(Paragraph(_sentence(gaps[best], outcome.names[best], say)))
    if found.base:
        gap = say.signed(found.base.gap, DIGITS)
        blocks.append(Paragraph(say("overfitting.base", gap=gap)))
    return blocks


def _sentence(found: LossGap, name: str, say: Strings) -> str:
    ends = found.interval
    key = "no_interval" if ends is None else "shown" if ends[0] > 0 else "not_shown"
    return say(
        f"overfitting.{key}",
        name=name,
        eval_loss=say.decimal(found.eval_loss, DIGITS),
        train_loss=say.decimal(found.train_loss, DIGITS),
        gap=say.signed(found.gap, DIGITS),
        interval="" if ends is None else say.signed_interval(ends, DIGITS),
    )


def _figure(levels: Sequence[LevelGap], say: Strings) -> Figure:
    titles = {level.axis: say(f"column.{level.axis}") for level in levels}
    points = [
        DifferencePoint(
            f"{titles[level.axis]} {say.axis_value(level.axis, level.value)}", titles[level.axis],
            level.gap, *(level.interval or (None, None)),
        )
        for level in levels
    ]  # fmt: skip
    rows = [f"{point.name} {say.signed(point.difference, DIGITS)}" for point in points]
    return Figure(
        "overfitting",
        say("overfitting.figure"),
        say("overfitting.figure_caption"),
        say("overfitting.alternative", rows=say.list(rows, most=30)),
        difference_chart(
            points, [*titles.values()], say("chart.gap"), say("chart.axis"), say, DIGITS
        ),
    )


def _level_table(levels: Sequence[LevelGap], say: Strings) -> Table:
    columns = [
        Column("axis", say("column.axis")),
        Column("value", say("column.value")),
        Column("gap", say("column.gap"), lambda gap: say.signed(gap, DIGITS), "number"),
        _interval_column(say),
    ]
    rows = [
        [say(f"column.{level.axis}"), say.axis_value(level.axis, level.value), level.gap,
         level.interval]
        for level in levels
    ]  # fmt: skip
    return Table("overfitting_by_axis", say("overfitting.levels_caption"), columns, rows)


def _table(found: Overfitting, outcome: Outcome, say: Strings) -> Table:
    def loss(value: float) -> str:
        return say.decimal(value, DIGITS)

    columns = [
        Column("label", say("column.label")),
        Column("eval_loss", say("column.eval_loss"), loss, "number"),
        Column("train_again_loss", say("column.train_again_loss"), loss, "number"),
        Column("gap", say("column.gap"), lambda gap: say.signed(gap, DIGITS), "number"),
        _interval_column(say),
    ]
    named = [(outcome.names[each.run], each) for each in found.runs]
    named += [(say("leaderboard.base"), found.base)] if found.base else []
    rows = [
        [name, each.eval_loss, each.train_loss, each.gap, each.interval] for name, each in named
    ]
    return Table("overfitting", say("overfitting.caption"), columns, rows)


def _interval_column(say: Strings) -> Column:
    return Column(
        "gap_interval", say("column.f1_interval"),
        lambda ends: say.signed_interval(ends, DIGITS), "interval",
    )  # fmt: skip
