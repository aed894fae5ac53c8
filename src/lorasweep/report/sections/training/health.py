"""Training health: gradient norms, clipping, and lanes that failed or were stopped."""

from lorasweep.folder.records import RunRecord, StepEntry
from lorasweep.report.blocks import Block, Figure, Items, Notice, Paragraph, Section
from lorasweep.report.charts.run_charts import bucket_size, line_chart, thin
from lorasweep.report.load import Outcome
from lorasweep.report.sections.training.losses import series_of
from lorasweep.report.tables import Cell, Column, Table
from lorasweep.report.words.language import Strings
from lorasweep.report.words.terms import term


def health(outcome: Outcome, say: Strings) -> Section:
    """Show how training went, lane by lane."""
    steps = {run.id: outcome.steps(run) for run in outcome.results.runs}
    blocks: list[Block] = [Paragraph(say("health.how_to_read"))]
    blocks.append(_figure(outcome, steps, say) or Notice(say("losses.no_training")))
    if outcome.results.runs:
        blocks.append(_table(outcome, steps, say))
    skipped, failed = _skipped(outcome, steps, say), _failed(outcome, say)
    if skipped:
        blocks.append(Items(say("health.overflows"), skipped))
    if failed:
        blocks.append(Items(say("health.failures"), failed))
    elif not skipped:
        blocks.append(Paragraph(say("health.sound")))
    return Section("health", say("health.title"), blocks)


def _figure(outcome: Outcome, steps: dict[str, list[StepEntry]], say: Strings) -> Figure | None:
    size = bucket_size(max(map(len, steps.values()), default=0), len(steps))
    norms = {
        run_id: thin(
            [(float(e.step + 1), e.grad_norm) for e in entries if e.grad_norm is not None], size
        )
        for run_id, entries in steps.items()
    }
    series, group_title = series_of(outcome, norms, say)
    if not series:
        return None
    limit = outcome.results.recipe.get("max_grad_norm")
    rows = [
        say("losses.from_to", name=s.name, first=say.decimal(s.points[0][1], 2),
            last=say.decimal(s.points[-1][1], 2))
        for s in series
    ]  # fmt: skip
    caption = say.count("losses.training_caption", size)
    caption += f" {say('health.limit', norm=say.plain(limit))}" if limit else ""
    return Figure(
        "grad_norm",
        say("health.figure"),
        caption,
        say("health.alternative", rows=say.list(rows, most=20)),
        line_chart(
            series, say("losses.step"), say("column.grad_norm"), group_title, say, rule_at=limit
        ),
    )


def _table(outcome: Outcome, steps: dict[str, list[StepEntry]], say: Strings) -> Table:
    columns = [
        Column("label", say("column.label")),
        Column("state", say("column.state"), lambda state: say(f"state.{state}")),
        Column("num_steps", say("column.num_steps"), say.integer, "number"),
        Column("first_loss", say("column.first_loss"), lambda x: say.decimal(x, 3), "number"),
        Column("last_loss", say("column.last_loss"), lambda x: say.decimal(x, 3), "number"),
        Column("largest_norm", say("column.largest_norm"), lambda x: say.decimal(x, 2), "number"),
        Column("clipped_share", say("column.clipped_share"), say.percent, "number"),
    ]
    limit = outcome.results.recipe.get("max_grad_norm")
    rows = [_row(outcome, run, steps[run.id], limit) for run in outcome.results.runs]
    return Table("training_health", say("health.caption"), columns, rows)


def _row(
    outcome: Outcome, run: RunRecord, steps: list[StepEntry], limit: float | None
) -> list[Cell]:
    name = outcome.names[run.id]
    if not steps:
        return [name, run.state, None, None, None, None, None]
    norms = [entry.grad_norm for entry in steps if entry.grad_norm is not None]
    losses = [steps[0].loss, steps[-1].loss]
    if not norms:
        return [name, run.state, len(steps), *losses, None, None]
    clipped = None if limit is None else sum(norm > limit for norm in norms) / len(norms)
    return [name, run.state, len(steps), *losses, max(norms), clipped]


def _skipped(outcome: Outcome, steps: dict[str, list[StepEntry]], say: Strings) -> list[str]:
    """Say which runs skipped steps, as their gradients overflowed in fp16."""
    return [
        say.count("health.skipped", count, name=outcome.names[run_id],
                  steps=say.integer(len(entries)))
        for run_id, entries in steps.items()
        if (count := sum(entry.grad_norm is None for entry in entries))
    ]  # fmt: skip


def _failed(outcome: Outcome, say: Strings) -> list[str]:
    return [
        say(
            "health.failure",
            name=outcome.names[run.id],
            step=say.integer(run.failure.step),
            quantity=term(run.failure.quantity, say),
            value=run.failure.value,
        )
        for run in outcome.results.runs
        if run.failure is not None
    ]
