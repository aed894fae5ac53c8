"""Ablation: what each axis of the grid does to F1, and how much of that is noise."""

from functools import partial

from lorasweep.analysis.ablation import AXES
from lorasweep.folder.findings import Ablation, Axis, Interaction, SeedSpread
from lorasweep.report.blocks import Block, Code, Figure, Items, Notice, Paragraph, Section
from lorasweep.report.charts.analysis_charts import DifferencePoint, difference_chart
from lorasweep.report.load import Outcome
from lorasweep.report.ranking import analysis_of, scored_runs
from lorasweep.report.sections.results.heat import heat_maps
from lorasweep.report.tables import Cell, Column, Table
from lorasweep.report.words.language import Strings
from lorasweep.report.words.sentences import edge_sentence

PRODUCT = " × "


def ablation(outcome: Outcome, say: Strings) -> Section:
    """Show main effects, cell means, shares of variance, grid edges and seeds."""
    found = analysis_of(outcome.results)
    blocks: list[Block] = []
    if found is None or found.ablation is None:
        blocks.append(Notice(say("ablation.none")))
    else:
        blocks += _extremes(outcome, say)
        blocks += _effects(found.ablation, say)
        blocks += heat_maps(outcome.results, say)
        blocks += _edges(found.ablation, say)
        blocks += [Notice(note) for note in found.ablation.notes]
        blocks += _constant(found.ablation, say)
        blocks += [_seeds(found.seeds, say)] if found.seeds else [Notice(say("ablation.one_seed"))]
    return Section("ablation", say("ablation.title"), blocks)


def _extremes(outcome: Outcome, say: Strings) -> list[Block]:
    """Name the best and the worst configuration, of all and of those with each value."""
    scored = [(each.run, each.scores.rank.mean) for each in scored_runs(outcome.results)]
    if len(scored) < 2:
        return []
    f1_of = {run.id: f1 for run, f1 in scored}
    rows = [_extreme_row(say("ablation.all"), None, dict(f1_of), outcome)]
    for axis in AXES:
        by_value: dict[int | float | str, dict[str, float]] = {}
        for point in outcome.results.configurations:
            if point["run"] in f1_of and point["method"] != "full":
                by_value.setdefault(point[axis], {})[point["run"]] = f1_of[point["run"]]
        if len(by_value) > 1:
            rows += [
                _extreme_row(_title(axis, say), say.notation(axis, value), f1s, outcome)
                for value, f1s in by_value.items()
            ]
    best, worst = (outcome.names[run.id] for run, _ in (scored[0], scored[-1]))
    words = say("ablation.extremes", best=best, best_f1=say.decimal(scored[0][1]), worst=worst,
                worst_f1=say.decimal(scored[-1][1]))  # fmt: skip
    columns = [
        Column("axis", say("column.axis")),
        Column("value", say("column.value"), say.figures),
        Column("num_runs", say("column.num_runs"), say.integer, "number"),
        Column("best", say("column.best_run")),
        Column("best_f1", say("column.best_f1"), say.decimal, "number"),
        Column("worst", say("column.worst_run")),
        Column("worst_f1", say("column.worst_f1"), say.decimal, "number"),
    ]
    return [
        Paragraph(words),
        Table("best_and_worst", say("ablation.extremes_caption"), columns, rows),
    ]


def _extreme_row(
    axis: str, value: str | None, f1_of: dict[str, float], outcome: Outcome
) -> list[Cell]:
    best, worst = (pick(f1_of, key=f1_of.__getitem__) for pick in (max, min))
    return [axis, value, len(f1_of), outcome.names[best], f1_of[best], outcome.names[worst],
            f1_of[worst]]  # fmt: skip


def _effects(found: Ablation, say: Strings) -> list[Block]:
    if not found.axes:
        return []
    blocks: list[Block] = [Paragraph(say("ablation.how_to_read"))]
    measured = [axis for axis in found.axes if axis.levels]
    blocks += [_effect_figure(measured, say)] if measured else []
    blocks.append(_effect_table(found.axes, say))
    blocks += [
        Notice(say("ablation.unmeasured", axis=_title(axis.name, say)))
        for axis in found.axes
        if axis.reason
    ]
    blocks += _interactions(found, say)
    blocks += [_shares(found, say), Paragraph(say("ablation.shares_words"))]
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
        Column("value", say("column.value"), say.figures),
        Column("f1", say("column.mean_f1"), say.decimal, "number"),
        Column("effect", say("column.effect"), say.signed, "number"),
        Column("effect_interval", say("column.f1_interval"), say.signed_interval, "interval"),
        Column("num_cells", say("column.num_cells"), say.integer, "number"),
    ]
    rows = [
        [_title(axis.name, say), say.notation(axis.name, level.value), level.mean, level.effect,
         level.interval, axis.num_cells]
        for axis in axes
        for level in axis.levels
    ]  # fmt: skip
    return Table("main_effects", say("ablation.caption"), columns, rows)


def _interactions(found: Ablation, say: Strings) -> list[Block]:
    """List the cells of every pair of axes."""
    measured = [each for each in found.interactions if each.cells]
    return [_cell_table(measured, say)] if measured else []


def _cell_table(interactions: list[Interaction], say: Strings) -> Table:
    columns = [
        Column("axes", say("column.axes")),
        Column("values", say("column.values"), partial(_product, say=say)),
        Column("f1", say("column.mean_f1"), say.decimal, "number"),
        Column("interaction", say("column.interaction"), say.signed, "number"),
        Column("interaction_interval", say("column.f1_interval"), say.signed_interval, "interval"),
    ]
    rows = [
        [
            PRODUCT.join(_title(axis, say) for axis in each.axes),
            PRODUCT.join(
                say.notation(axis, value)
                for axis, value in zip(each.axes, cell.values, strict=True)
            ),
            cell.mean, cell.interaction, cell.interval,
        ]
        for each in interactions
        for cell in each.cells
    ]  # fmt: skip
    return Table("interactions", say("ablation.cells_caption"), columns, rows)


def _product(values: str, say: Strings) -> str:
    return say.joined(PRODUCT, [say.figures(value) for value in values.split(PRODUCT)])


def _shares(found: Ablation, say: Strings) -> Table:
    columns = [
        Column("part", say("column.part")),
        Column("share", say("column.share"), partial(say.percent, digits=1), "number"),
    ]
    parts = {_title(axis.name, say): axis.share or 0.0 for axis in found.axes}
    if found.seeds is None:
        parts[say("ablation.residual")] = found.residual or 0.0
    else:
        parts[say("ablation.only_interactions")] = found.residual or 0.0
        parts[say("ablation.seeds")] = found.seeds
    parts[say("ablation.evaluation")] = found.evaluation or 0.0
    rows: list[list[Cell]] = [[part, share] for part, share in _rounded(parts).items()]
    return Table("variance_shares", say("ablation.shares_caption"), columns, rows)


def _rounded(parts: dict[str, float]) -> dict[str, float]:
    """Return the parts in tenths of a percent, so that they add up as they are written.

    The largest remainders are rounded up.
    """
    tenths = {part: int(1000 * share) for part, share in parts.items()}
    left = round(1000 * sum(parts.values())) - sum(tenths.values())
    largest = sorted(parts, key=lambda part: tenths[part] - 1000 * parts[part])
    return {part: (tenths[part] + (part in largest[:left])) / 1000 for part in parts}


def _edges(found: Ablation, say: Strings) -> list[Block]:
    if not found.edges:
        return []
    return [
        Items(say("ablation.edges"), [edge_sentence(edge, say) for edge in found.edges]),
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
