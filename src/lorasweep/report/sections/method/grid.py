"""The grid: every run's adapter, configurations that repeat another, and the plan's warnings."""

from lorasweep.folder.records import RunRecord
from lorasweep.hub.architectures import module_kinds
from lorasweep.report.blocks import Block, Items, Paragraph, Section
from lorasweep.report.load import Outcome
from lorasweep.report.tables import Cell, Column, Table
from lorasweep.report.words.language import Strings
from lorasweep.study.grid import Configuration, ImportedConfiguration, resolve_alpha

AXES = ("method", "targets", "rank", "lr", "alpha", "dropout", "scaling", "lr_ratio", "seed")


def grid(outcome: Outcome, say: Strings) -> Section:
    """Show what each run adapts and with what, and what the plan said of the grid."""
    results = outcome.results
    blocks: list[Block] = [Paragraph(_counts(outcome, say)), _configurations(outcome, say)]
    repeats = _repeats(outcome)
    blocks.append(_repeat_table(repeats, say) if repeats else Paragraph(say("grid.no_repeats")))
    blocks.append(
        Items(say("grid.warnings"), results.warnings)
        if results.warnings
        else Paragraph(say("grid.no_warnings"))
    )
    return Section("grid", say("grid.title"), blocks)


def alpha_of(point: Configuration | ImportedConfiguration) -> float | None:
    """Return alpha as a number; None for full fine-tuning."""
    if point.alpha is None or point.rank is None:
        return None
    return resolve_alpha(point.alpha, point.rank)


def _counts(outcome: Outcome, say: Strings) -> str:
    results = outcome.results
    return say.count(
        "grid.counts",
        len(outcome.planned),
        configurations=say.count("summary.configurations", len(results.configurations)),
    )


def _configurations(outcome: Outcome, say: Strings) -> Table:
    columns = [
        Column("label", say("column.label")),
        Column("rank", say("column.rank"), say.integer, "number"),
        Column("lr", say("column.lr"), say.rate, "number"),
        Column("alpha", say("column.alpha"), say.plain, "number"),
        Column("scale", say("column.scale"), say.plain, "number"),
        Column("dropout", say("column.dropout"), say.plain, "number"),
        Column("scaling", say("column.scaling")),
        Column("lr_ratio", say("column.lr_ratio"), say.plain, "number"),
        Column("seed", say("column.seed"), say.integer, "number"),
        Column("targets", say("column.targets")),
        Column("modules", say("column.modules"), kind="long"),
        Column("trainable_parameters", say("column.trainable_parameters"), say.integer, "number"),
        Column("share", say("column.share_of_model"), lambda x: say.percent(x, 2), "number"),
    ]
    rows = [_row(outcome, run, say) for run in outcome.results.runs]
    return Table("lora_configurations", say("grid.caption"), columns, rows)


def _row(outcome: Outcome, run: RunRecord, say: Strings) -> list[Cell]:
    point, num_weights = run.configuration, outcome.results.base.num_parameters
    modules = module_kinds(run.modules) if run.modules else say("grid.all_weights")
    return [
        outcome.names[run.id], point.rank, point.lr, alpha_of(point), run.scale, point.dropout,
        point.scaling, point.lr_ratio, point.seed, point.targets, modules,
        run.trainable_parameters, run.trainable_parameters / num_weights,
    ]  # fmt: skip


def _repeats(outcome: Outcome) -> list[tuple[str, str]]:
    """Return (configuration, run) for configurations whose run had one already."""
    seen: set[str] = set()
    found = []
    for point in outcome.results.configurations:
        if point["run"] in seen:
            found.append((_written(point), outcome.names.get(point["run"], point["run"])))
        seen.add(point["run"])
    return found


def _written(point: dict[str, object]) -> str:
    return ", ".join(f"{axis} {point[axis]}" for axis in AXES if point.get(axis) is not None)


def _repeat_table(repeats: list[tuple[str, str]], say: Strings) -> Table:
    columns = [
        Column("configuration", say("column.configuration"), kind="long"),
        Column("run", say("column.shares_run")),
    ]
    caption = say.count("grid.repeats", len(repeats))
    return Table("repeated_configurations", caption, columns, repeats)
