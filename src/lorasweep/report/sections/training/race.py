"""Race: who was stopped on the way, when and why."""

from functools import partial

from lorasweep.folder.records import RunRecord
from lorasweep.report.blocks import Block, Code, Notice, Paragraph, Section
from lorasweep.report.load import Outcome
from lorasweep.report.tables import Cell, Column, Table
from lorasweep.report.words.language import Strings


def race(outcome: Outcome, say: Strings) -> Section:
    """List the runs that were stopped, and say how to go on with them."""
    stopped = [run for run in outcome.results.runs if run.stop is not None]
    is_empty = outcome.results.race is None and not stopped
    return Section("race", say("race.title"), _blocks(outcome, stopped, say), is_empty)


def _blocks(outcome: Outcome, stopped: list[RunRecord], say: Strings) -> list[Block]:
    rule = outcome.results.race
    if rule is None and not stopped:
        return [Notice(say("race.none"))]
    blocks: list[Block] = [Paragraph(say("race.how_to_read"))]
    if rule is not None:
        rungs = say.list([_percent(fraction, say) for fraction in rule.rungs])
        blocks.append(Paragraph(say("race.rule", rungs=rungs, level=_percent(rule.level, say))))
    blocks.append(_table(outcome, stopped, say) if stopped else Notice(say("race.all_ended")))
    if waiting := [run.id for run in stopped if run.state == "stopped"]:
        out = outcome.store.out.name or "OUT"
        blocks.append(Code(say("race.resume"), f"lorasweep resume {out} --run {waiting[0]}"))
    return blocks


def _percent(share: float, say: Strings) -> str:
    return say("number.percent", value=say.plain(100 * share))


def _table(outcome: Outcome, stopped: list[RunRecord], say: Strings) -> Table:
    loss = partial(say.decimal, digits=3)
    columns = [
        Column("label", say("column.label")),
        Column("state", say("column.state")),
        Column("stopped_step", say("column.stopped_step"), say.integer, "number"),
        Column("num_steps", say("column.num_steps"), say.integer, "number"),
        Column("leader", say("column.leader")),
        Column("stopped_eval_loss", say("column.eval_loss"), loss, "number"),
        Column("loss_difference", say("column.loss_difference"), loss, "number"),
        Column("loss_at_least", say("column.loss_at_least"), loss, "number"),
        Column("p_value", say("column.p_value"), say.p_value, "number"),
        Column("adjusted_p_value", say("column.adjusted_p_value"), say.p_value, "number"),
        Column("id", say("column.run_id")),
    ]
    rows = [_row(outcome, run, say) for run in stopped]
    return Table("race", say("race.caption"), columns, rows)


def _row(outcome: Outcome, run: RunRecord, say: Strings) -> list[Cell]:
    stop = run.stop
    assert stop is not None
    state = say("race.resumed" if run.state == "done" else f"state.{run.state}")
    leader = outcome.names.get(stop.leader, stop.leader_label)
    return [
        outcome.names[run.id], state, stop.step, stop.num_steps, leader, stop.eval_loss,
        stop.difference, stop.at_least, stop.p_value, stop.adjusted_p_value, run.id,
    ]  # fmt: skip
