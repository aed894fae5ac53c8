"""Decoding: the best run's answers by each decoder, their quality beside their diversity."""

from lorasweep.folder.scores import Scores, scores_of
from lorasweep.report.blocks import Block, Figure, Notice, Paragraph, Section
from lorasweep.report.charts.trade_off_charts import TradeOff, diversity_chart
from lorasweep.report.load import Outcome
from lorasweep.report.ranking import standing
from lorasweep.report.tables import Cell, Column, Table
from lorasweep.report.words.language import Strings

Named = tuple[str, Scores]


def decoding(outcome: Outcome, say: Strings) -> Section:
    """Compare decoders on the best run, with the base model's scores beside them."""
    found = standing(outcome.results)
    if found is None:
        nothing = [Notice(say("summary.no_scores"))]
        return Section("decoding", say("decoding.title"), nothing, is_empty=True)
    name, metrics = outcome.names[found.best.run.id], found.best.run.metrics
    scored = [(key, value) for key, value in metrics.items() if isinstance(value, Scores)]
    if len(scored) == 1:
        blocks: list[Block] = [Notice(say("decoding.one", decoder=scored[0][0]))]
    else:
        diversities = {scores.distinct_answers or 1.0 for _, scores in scored}
        blocks = [Paragraph(_in_words(name, scored, say))]
        blocks += [_figure(name, scored, say)] if len(diversities) > 1 else []
        blocks.append(_table(outcome, name, scored, say))
        blocks.append(Paragraph(say("design_effect.meaning")))
    return Section("decoding", say("decoding.title"), blocks, is_empty=len(scored) == 1)


def _in_words(name: str, scored: list[Named], say: Strings) -> str:
    ordered = sorted(scored, key=lambda pair: -pair[1].rank.mean)
    rows = [f"{key} {say.decimal(scores.rank.mean)}" for key, scores in ordered]
    sentences = [say("decoding.by_f1", name=name, rows=say.list(rows))]
    sentences += [
        say("decoding.best_of_n", decoder=key, best=say.decimal(s.rank.best_of_n),
            mean=say.decimal(s.rank.mean), distinct=say.decimal(s.distinct_answers, 2))
        for key, s in scored
        if s.rank.best_of_n is not None and s.distinct_answers is not None
    ]  # fmt: skip
    return " ".join([*sentences, say("decoding.untested")])


def _figure(name: str, scored: list[Named], say: Strings) -> Figure:
    points = [
        TradeOff(
            key, key, s.distinct_answers or 1.0, s.rank.mean, *(s.rank.interval or (None, None))
        )
        for key, s in scored
    ]
    rows = [f"{p.name}: {say.decimal(p.x, 2)}, F1 {say.decimal(p.f1)}" for p in points]
    return Figure(
        "decoding",
        say("decoding.figure", name=name),
        say("decoding.figure_caption"),
        say("decoding.alternative", rows=say.list(rows, most=20)),
        diversity_chart(points, say("column.distinct_answers"), say),
    )


def _table(outcome: Outcome, name: str, scored: list[Named], say: Strings) -> Table:
    columns = [
        Column("decoder", say("column.decoder")),
        Column("f1", say("column.f1"), say.decimal, "number"),
        Column("f1_interval", say("column.f1_interval"), say.interval, "interval"),
        Column("f1_design_effect", say("column.design_effect"), lambda x: say.decimal(x, 2),
               "number"),
        Column("exact_match", say("column.exact_match"), say.decimal, "number"),
        Column("em_interval", say("column.f1_interval"), say.interval, "interval"),
        Column("base_f1", say("column.base_f1"), say.decimal, "number"),
        Column("best_of_n_f1", say("column.best_of_n_f1"), say.decimal, "number"),
        Column("best_of_n_exact_match", say("column.best_of_n_em"), say.decimal, "number"),
        Column("distinct", say("column.distinct_answers"), lambda x: say.decimal(x, 2), "number"),
        Column("agreement", say("column.agreement"), say.percent, "number"),
        Column("answer_tokens", say("column.mean_answer_tokens"), say.decimal, "number"),
        Column("ended_share", say("column.ended_share"), say.percent, "number"),
        Column("seconds", say("column.seconds_per_question"), lambda x: say.decimal(x, 3),
               "number"),
    ]  # fmt: skip
    rows = [_row(key, s, scores_of(outcome.results.base.metrics, key)) for key, s in scored]
    return Table("decoding", say("decoding.caption", name=name), columns, rows)


def _row(decoder: str, s: Scores, base: Scores | None) -> list[Cell]:
    em = s.scores["exact_match"]
    return [
        decoder, s.rank.mean, s.rank.interval, s.rank.design_effect, em.mean, em.interval,
        base.rank.mean if base else None, s.rank.best_of_n, em.best_of_n, s.distinct_answers,
        s.agreement, s.answer_tokens, s.ended_share, s.seconds_per_question,
    ]  # fmt: skip
