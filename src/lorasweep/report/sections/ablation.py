"""Ablation: what each axis of the grid does to F1, and how much of that is noise."""

from lorasweep.findings import Ablation, Axis, Interaction, SeedSpread
from lorasweep.report.analysis_charts import (
    DifferencePoint,
    HeatCell,
    difference_chart,
    heat_map,
)
from lorasweep.report.blocks import Block, Code, Figure, Items, Notice, Paragraph, Section
from lorasweep.report.language import Strings
from lorasweep.report.load import Outcome
from lorasweep.report.ranking import analysis_of
from lorasweep.report.tables import Column, Table


def ablation(outcome: Outcome, say: Strings) -> Section:
    """Show main effects, cell means, shares of variance, grid edges and seeds."""
    found = analysis_of(outcome.results)
    blocks: list[Block] = []
    if found is None or found.ablation is None:
        blocks.append(Notice(say("ablation.none")))
    else:
        blocks += _effects(found.ablation, say)
        blocks += _edges(found.ablation, say)
        blocks += [Notice(note) for note in found.ablation.notes]
        blocks += _constant(found.ablation, say)
        blocks += [_seeds(found.seeds, say)] if found.seeds else [Notice(say("ablation.one_seed"))]
    return Section("ablation", say("ablation.title"), blocks)


def _effects(found: Ablation, say: Strings) -> list[Block]:
    if not found.axes:
        return []
    blocks: list[Block] = [Paragraph(say("ablation.how_to_read"))]
    measured = [axis for axis in found.axes if axis.levels]
    blocks += [_effect_figure(measured, say)] if measured else []
    blocks.append(_effect_table(found.axes, say))
    blocks += [
        Notice(say("ablation.unmeasured", axis=_title(axis.name, say), reason=axis.reason))
        for axis in found.axes
        if axis.reason
    ]
    blocks += _interactions(found, say)
    blocks.append(_shares(found, say))
    return blocks


def _effect_figure(axes: list[Axis], say: Strings) -> Figure:
    points = [
        DifferencePoint(
            f"{_title(axis.name, say)} {say.axis_value(axis.name, level.value)}",
            _title(axis.name, say), level.effect, *(level.interval or (None, None)),
        )
        for axis in axes
        for level in axis.levels
    ]  # fmt: skip
    rows = [f"{point.name} {say.signed(point.difference)}" for point in points]
    groups = [_title(axis.name, say) for axis in axes]
    return Figure(
        "main_effects",
        say("ablation.figure"),
        say("ablation.figure_caption"),
        say("ablation.alternative", rows=say.list(rows, most=30)),
        difference_chart(points, groups, say("chart.effect"), say("chart.axis"), say),
    )


def _effect_table(axes: list[Axis], say: Strings) -> Table:
    columns = [
        Column("axis", say("column.axis")),
        Column("value", say("column.value")),
        Column("f1", say("column.mean_f1"), say.decimal, "number"),
        Column("effect", say("column.effect"), say.signed, "number"),
        Column("effect_interval", say("column.f1_interval"), say.signed_interval, "interval"),
        Column("num_cells", say("column.num_cells"), say.integer, "number"),
    ]
    rows = [
        [_title(axis.name, say), say.axis_value(axis.name, level.value), level.mean, level.effect,
         level.interval, axis.num_cells]
        for axis in axes
        for level in axis.levels
    ]  # fmt: skip
    return Table("main_effects", say("ablation.caption"), columns, rows)


def _interactions(found: Ablation, say: Strings) -> list[Block]:
    """Draw learning rate by rank where both vary, and list the cells of every pair of axes."""
    measured = [each for each in found.interactions if each.cells]
    blocks: list[Block] = [
        _heat_figure(each, say) for each in measured if set(each.axes) == {"rank", "lr"}
    ]
    return [*blocks, _cell_table(measured, say)] if measured else blocks


def _heat_figure(found: Interaction, say: Strings) -> Figure:
    x, y = found.axes.index("lr"), found.axes.index("rank")
    cells = [
        HeatCell(say.axis_value("lr", cell.values[x]), str(cell.values[y]), cell.mean)
        for cell in found.cells
    ]
    rows = [f"{cell.y}, {cell.x}: {say.decimal(cell.f1)}" for cell in cells]
    return Figure(
        "lr_rank",
        say("ablation.heat"),
        say("ablation.heat_caption"),
        say("ablation.heat_words", rows=say.list(rows, most=30)),
        heat_map(cells, say("column.lr"), say("column.rank"), say),
    )


def _cell_table(interactions: list[Interaction], say: Strings) -> Table:
    columns = [
        Column("axes", say("column.axes")),
        Column("values", say("column.values")),
        Column("f1", say("column.mean_f1"), say.decimal, "number"),
        Column("interaction", say("column.interaction"), say.signed, "number"),
        Column("interaction_interval", say("column.f1_interval"), say.signed_interval, "interval"),
    ]
    rows = [
        [
            " × ".join(_title(axis, say) for axis in each.axes),
            " × ".join(
                say.axis_value(axis, value)
                for axis, value in zip(each.axes, cell.values, strict=True)
            ),
            cell.mean, cell.interaction, cell.interval,
        ]
        for each in interactions
        for cell in each.cells
    ]  # fmt: skip
    return Table("interactions", say("ablation.cells_caption"), columns, rows)


def _shares(found: Ablation, say: Strings) -> Table:
    columns = [
        Column("part", say("column.part")),
        Column("share", say("column.share"), say.percent, "number"),
    ]
    rows = [[_title(axis.name, say), axis.share] for axis in found.axes]
    rows.append([say("ablation.residual"), found.residual])
    rows.append([say("ablation.evaluation"), found.evaluation])
    return Table("variance_shares", say("ablation.shares_caption"), columns, rows)


def _edges(found: Ablation, say: Strings) -> list[Block]:
    if not found.edges:
        return []
    return [
        Items(say("ablation.edges"), [edge.sentence for edge in found.edges]),
        Code(say("ablation.options"), "\n".join(edge.option for edge in found.edges)),
    ]


def _constant(found: Ablation, say: Strings) -> list[Block]:
    if not found.constant:
        return []
    values = [
        f"{_title(axis, say)} {say.axis_value(axis, value)}"
        for axis, value in found.constant.items()
    ]
    return [Paragraph(say("ablation.constant", values=say.list(values)))]


def _seeds(seeds: list[SeedSpread], say: Strings) -> Table:
    columns = [
        Column("name", say("column.setting")),
        Column("num_seeds", say("column.num_seeds"), say.integer, "number"),
        Column("f1", say("column.mean_f1"), say.decimal, "number"),
        Column("seed_deviation", say("column.seed_deviation"), say.decimal, "number"),
        Column("question_error", say("column.question_error"), say.decimal, "number"),
        Column("interval", say("column.f1_interval"), say.interval, "interval"),
    ]
    rows = [
        [each.name, len(each.runs), each.mean, each.seed_deviation, each.question_error,
         each.interval]
        for each in seeds
    ]  # fmt: skip
    return Table("seeds", say("ablation.seeds_caption"), columns, rows)


def _title(axis: str, say: Strings) -> str:
    return say(f"column.{axis}")
