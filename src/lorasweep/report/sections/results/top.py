"""The first ten runs by evaluation loss, by F1 and by trainable parameters."""

from collections.abc import Callable, Sequence

from lorasweep.folder.records import RunRecord
from lorasweep.folder.scores import eval_loss_of, scores_of
from lorasweep.report.blocks import Block, Figure, Notice, Paragraph, Section
from lorasweep.report.charts.analysis_charts import Bar, bar_chart
from lorasweep.report.load import Outcome
from lorasweep.report.ranking import DECODER, scored_runs
from lorasweep.report.tables import Cell, Column, Table
from lorasweep.report.words.language import Strings

MOST = 10


def top(outcome: Outcome, say: Strings) -> Section:
    """Show three rankings, and what the first of them needs in parameters."""
    by_f1 = [each.run for each in scored_runs(outcome.results)][:MOST]
    by_loss = _by_loss(outcome.results.runs)
    by_parameters = _by_parameters(outcome.results.runs)
    blocks: list[Block] = [Paragraph(say("top.how_to_read"))]
    if by_loss:
        blocks += [_table("top_eval_loss", by_loss, outcome, say)]
        blocks += [_bars("top_eval_loss", by_loss, _loss, ".3f", outcome, say)]
        blocks += [Paragraph(_agreement(by_loss[0], by_f1[0], outcome, say))] if by_f1 else []
    else:
        blocks.append(Notice(say("top.no_loss")))
    if by_f1:
        blocks += [_table("top_f1", by_f1, outcome, say)]
        blocks += [_bars("top_f1_parameters", by_f1, _parameters, "~s", outcome, say)]
    else:
        blocks.append(Notice(say("summary.no_scores")))
    if by_parameters:
        blocks += [_table("top_parameters", by_parameters, outcome, say)]
    return Section("top", say("top.title"), blocks, is_empty=_is_all(outcome))


def agreement(outcome: Outcome, say: Strings) -> list[Block]:
    """Say whether evaluation loss and F1 name the same run first, where no ranking is shown."""
    by_loss, by_f1 = _by_loss(outcome.results.runs), scored_runs(outcome.results)
    if not _is_all(outcome) or len(by_f1) < 2 or not by_loss:
        return []
    return [Paragraph(_agreement(by_loss[0], by_f1[0].run, outcome, say))]


def _is_all(outcome: Outcome) -> bool:
    """Return whether the first ten are all that the leaderboard holds."""
    return sum(run.state == "done" for run in outcome.results.runs) <= MOST


def _by_loss(runs: Sequence[RunRecord]) -> list[RunRecord]:
    known = [run for run in runs if run.state == "done" and eval_loss_of(run.metrics) is not None]
    return sorted(known, key=_loss)[:MOST]


def _by_parameters(runs: Sequence[RunRecord]) -> list[RunRecord]:
    done = [run for run in runs if run.state == "done"]
    return sorted(done, key=_parameters, reverse=True)[:MOST]


def _loss(run: RunRecord) -> float:
    loss = eval_loss_of(run.metrics)
    assert loss is not None
    return loss


def _parameters(run: RunRecord) -> float:
    return run.trainable_parameters


def _agreement(first_by_loss: RunRecord, best: RunRecord, outcome: Outcome, say: Strings) -> str:
    """Say whether evaluation loss and F1 name the same run first."""
    if first_by_loss.id == best.id:
        return say("top.agree", name=outcome.names[best.id])
    names = {"by_loss": outcome.names[first_by_loss.id], "by_f1": outcome.names[best.id]}
    return say("top.disagree", **names)


def _table(id: str, runs: Sequence[RunRecord], outcome: Outcome, say: Strings) -> Table:
    def loss(value: float) -> str:
        return say.decimal(value, 3)

    columns = [
        Column("label", say("column.label")),
        Column("rank", say("column.rank"), say.integer, "number"),
        Column("lr", say("column.lr"), say.rate, "number"),
        Column("targets", say("column.targets")),
        Column("train_loss", say("column.train_loss"), loss, "number"),
        Column("eval_loss", say("column.eval_loss"), loss, "number"),
        Column("trainable_parameters", say("column.trainable_parameters"), say.integer, "number"),
        Column("f1", say("column.f1"), say.decimal, "number"),
        Column("f1_interval", say("column.f1_interval"), say.interval, "interval"),
        Column("exact_match", say("column.exact_match"), say.decimal, "number"),
    ]
    rows = [_row(run, outcome) for run in runs]
    return Table(id, say(f"top.{id}", number=say.integer(len(runs))), columns, rows)


def _row(run: RunRecord, outcome: Outcome) -> list[Cell]:
    point, scores = run.configuration, scores_of(run.metrics, DECODER)
    scored: list[Cell] = (
        [scores.rank.mean, scores.rank.interval, scores.scores["exact_match"].mean]
        if scores
        else [None, None, None]
    )
    return [
        outcome.names[run.id], point.rank, point.lr, point.targets, run.train_loss,
        eval_loss_of(run.metrics), run.trainable_parameters, *scored,
    ]  # fmt: skip


def _bars(
    id: str,
    runs: Sequence[RunRecord],
    value_of: Callable[[RunRecord], float],
    number: str,
    outcome: Outcome,
    say: Strings,
) -> Figure:
    group = say("chart.runs")
    title = say(f"top.bars.{id}")
    bars = [Bar(outcome.names[run.id], group, value_of(run)) for run in runs]
    rows = [f"{bar.name} {say.plain(bar.value)}" for bar in bars]
    return Figure(
        id,
        title,
        say("top.bars_caption"),
        say("top.alternative", title=title, rows=say.list(rows, most=MOST)),
        bar_chart(bars, title, say("chart.group"), say, number),
    )
