"""The base model beside the best run: what tuning gained."""

from lorasweep.folder.findings import BASE
from lorasweep.folder.scores import Scores, eval_loss_of, scores_of
from lorasweep.report.blocks import Block, Figure, Notice, Paragraph, Section
from lorasweep.report.charts.analysis_charts import Bar, bar_chart
from lorasweep.report.load import Outcome
from lorasweep.report.ranking import DECODER, Scored, analysis_of, standing
from lorasweep.report.tables import Cell, Column, Table
from lorasweep.report.words.language import Strings
from lorasweep.report.words.sentences import em_sentence, f1_sentence


def gain(outcome: Outcome, say: Strings) -> Section:
    """Set the scores of the base model and of the best run side by side."""
    found, base = standing(outcome.results), scores_of(outcome.results.base.metrics, DECODER)
    if found is None or base is None:
        blocks: list[Block] = [Notice(say("gain.none"))]
    else:
        name = outcome.names[found.best.run.id]
        blocks = [Paragraph(_in_words(outcome, say)), _figure(name, base, found.best.scores, say)]
        blocks.append(_table(outcome, base, found.best, say))
    return Section("gain", say("gain.title"), blocks)


def _in_words(outcome: Outcome, say: Strings) -> str:
    found = analysis_of(outcome.results)
    against = [each for each in found.comparisons if each.run == BASE] if found else []
    if not against:
        return say("gain.not_tested")
    return " ".join(
        f(each, outcome.results, say) for each in against for f in (em_sentence, f1_sentence)
    )


def _figure(name: str, base: Scores, best: Scores, say: Strings) -> Figure:
    bars = [
        Bar(say(f"column.{metric}"), who, scores.scores[metric].mean)
        for metric in ("exact_match", "f1")
        for who, scores in ((name, best), (say("leaderboard.base"), base))
    ]
    rows = [f"{bar.group}, {bar.name}: {say.decimal(bar.value)}" for bar in bars]
    return Figure(
        "base_vs_tuned",
        say("gain.figure"),
        say("gain.figure_caption"),
        say("gain.alternative", rows=say.list(rows)),
        bar_chart(bars, say("chart.score"), say("chart.answers_of"), say, ".1f"),
    )


def _table(outcome: Outcome, base: Scores, best: Scored, say: Strings) -> Table:
    columns = [
        Column("label", say("column.label")),
        Column("exact_match", say("column.exact_match"), say.decimal, "number"),
        Column("em_interval", say("column.f1_interval"), say.interval, "interval"),
        Column("f1", say("column.f1"), say.decimal, "number"),
        Column("f1_interval", say("column.f1_interval"), say.interval, "interval"),
        Column("eval_loss", say("column.eval_loss"), lambda x: say.decimal(x, 3), "number"),
        Column("ended_share", say("column.ended_share"), say.percent, "number"),
        Column("answer_tokens", say("column.mean_answer_tokens"), say.decimal, "number"),
    ]
    both = [
        (say("leaderboard.base"), base, outcome.results.base.metrics),
        (outcome.names[best.run.id], best.scores, best.run.metrics),
    ]
    rows: list[list[Cell]] = [
        [name, s.scores["exact_match"].mean, s.scores["exact_match"].interval, s.rank.mean,
         s.rank.interval, eval_loss_of(metrics), s.ended_share, s.answer_tokens]
        for name, s, metrics in both
    ]  # fmt: skip
    return Table("base_vs_tuned", say("gain.caption"), columns, rows)
