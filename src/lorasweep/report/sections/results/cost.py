"""Cost: parameters, time and memory of every run, and what F1 they bring."""

from collections.abc import Callable
from dataclasses import dataclass

from lorasweep.folder.findings import Costs
from lorasweep.folder.records import RunRecord
from lorasweep.folder.scores import scores_of
from lorasweep.report.blocks import Block, Figure, Notice, Paragraph, Section
from lorasweep.report.charts.trade_off_charts import TradeOff, front_chart
from lorasweep.report.load import Outcome
from lorasweep.report.ranking import DECODER, analysis_of, best_group, scored_runs, tied_runs
from lorasweep.report.tables import Cell, Column, Table
from lorasweep.report.words.language import GIB, Strings


@dataclass(frozen=True)
class Cost:
    """A kind of cost: how to read it from a run, and the runs on its front."""

    key: str
    of: Callable[[RunRecord], float]
    front: Callable[[Costs], list[str]]


COSTS = (
    Cost("parameters", lambda run: run.trainable_parameters, lambda costs: costs.by_parameters),
    Cost("seconds", lambda run: run.train_seconds, lambda costs: costs.by_seconds),
    Cost("memory", lambda run: run.peak_memory_bytes / GIB, lambda costs: costs.by_memory),
)


def cost(outcome: Outcome, say: Strings) -> Section:
    """Show what every run cost, and F1 against each kind of cost."""
    blocks: list[Block] = [Paragraph(say("cost.how_to_read"))]
    found = analysis_of(outcome.results)
    costs = found.costs if found else None
    for kind in COSTS if scored_runs(outcome.results) else ():
        blocks += _front(outcome, kind, costs, say)
    if outcome.results.runs:
        blocks.append(_table(outcome, say))
    else:
        blocks.append(Notice(say("cost.none")))
    return Section("cost", say("cost.title"), blocks)


def _front(outcome: Outcome, kind: Cost, costs: Costs | None, say: Strings) -> list[Block]:
    front = kind.front(costs) if costs else []
    values = {kind.of(each.run) for each in scored_runs(outcome.results)}
    if len(values) == 1:
        (value,) = values
        shown = say.integer(int(value)) if value == int(value) else say.figures(f"{value:.3g}")
        return [Paragraph(say("cost.same", cost=say(f"cost.{kind.key}"), value=shown))]
    blocks: list[Block] = [_figure(outcome, kind, front, say)]
    if front:
        names = say.list([outcome.names[run_id] for run_id in front])
        blocks.append(Paragraph(say(f"cost.front.{kind.key}", names=names)))
    return blocks


def _figure(outcome: Outcome, kind: Cost, front: list[str], say: Strings) -> Figure:
    tied = tied_runs(outcome.results)
    groups = [say(best_group(outcome.results)), say("chart.other_lora"), say("chart.full")]
    points = [
        TradeOff(
            outcome.names[each.run.id], groups[_group(each.run, tied)], kind.of(each.run),
            each.scores.rank.mean, on_front=each.run.id in front,
        )
        for each in scored_runs(outcome.results)
    ]  # fmt: skip
    points.sort(key=lambda point: (point.x, point.f1))
    rows = [f"{p.name}: {say.plain(p.x)}, F1 {say.decimal(p.f1)}" for p in points]
    title = say(f"cost.{kind.key}")
    return Figure(
        f"f1_{kind.key}",
        say("cost.figure", cost=title),
        say("cost.figure_caption") if front else say("cost.no_front"),
        say("cost.alternative", cost=title, rows=say.list(rows, most=20)),
        front_chart(points, groups, title, say),
    )


def _group(run: RunRecord, tied: set[str]) -> int:
    """Return 0 for a run that is tied for best, 2 for full fine-tuning, 1 for another run."""
    if run.id in tied:
        return 0
    return 2 if run.configuration.method == "full" else 1


def _table(outcome: Outcome, say: Strings) -> Table:
    columns = [
        Column("label", say("column.label")),
        Column("trainable_parameters", say("column.trainable_parameters"), say.integer, "number"),
        Column("share", say("column.share_of_model"), lambda x: say.percent(x, 2), "number"),
        Column("train_seconds", say("column.train_seconds"), say.decimal, "number"),
        Column("lanes", say("column.lanes"), say.integer, "number"),
        Column("pack_seconds", say("column.pack_seconds"), say.decimal, "number"),
        Column("peak_memory_bytes", say("column.peak_memory_bytes"), say.gibibytes, "number"),
        Column("seconds_per_question", say("column.seconds_per_question"),
               lambda x: say.decimal(x, 3), "number"),
        Column("f1", say("column.f1"), say.decimal, "number"),
    ]  # fmt: skip
    rows = [_row(outcome, run) for run in outcome.results.runs]
    return Table("cost", say("cost.caption"), columns, rows)


def _row(outcome: Outcome, run: RunRecord) -> list[Cell]:
    scores, num_weights = scores_of(run.metrics, DECODER), outcome.results.base.num_parameters
    return [
        outcome.names[run.id], run.trainable_parameters, run.trainable_parameters / num_weights,
        run.train_seconds, run.pack.lanes, run.pack.seconds, run.peak_memory_bytes or None,
        scores.seconds_per_question if scores else None, scores.rank.mean if scores else None,
    ]  # fmt: skip
