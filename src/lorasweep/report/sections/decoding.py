"""Decoding: how the best run and the base model answer by each decoder."""

from functools import partial

from lorasweep.records import BaseRecord, RunRecord, Scores, scores_of
from lorasweep.report.blocks import Block, Notice, Paragraph, Section
from lorasweep.report.language import Strings
from lorasweep.report.load import Outcome
from lorasweep.report.ranking import DECODER, standing
from lorasweep.report.tables import Cell, Column, Table


def decoding(outcome: Outcome, say: Strings) -> Section:
    """Show quality, diversity, length and ending of the answers by every decoder."""
    found, base = standing(outcome.results), outcome.results.base
    records: dict[str, RunRecord | BaseRecord] = {say("leaderboard.base"): base}
    if found is not None:
        records = {outcome.names[found.best.run.id]: found.best.run, **records}
    rows = [
        _row(name, decoder, scores)
        for decoder in _decoders(list(records.values()))
        for name, record in records.items()
        if (scores := scores_of(record.metrics, decoder)) is not None
    ]
    blocks: list[Block] = [_table(rows, say)] if rows else [Notice(say("decoding.none"))]
    if rows:
        blocks.insert(0, Paragraph(say("decoding.how_to_read", decoder=DECODER)))
    return Section("decoding", say("decoding.title"), blocks)


def _decoders(records: list[RunRecord | BaseRecord]) -> list[str]:
    """Return the decoders that anyone answered by, in the order in which they were run."""
    names = (name for record in records for name, found in record.metrics.items()
             if isinstance(found, Scores))  # fmt: skip
    return list(dict.fromkeys(names))


def _table(rows: list[list[Cell]], say: Strings) -> Table:
    decimal, two = say.decimal, partial(say.decimal, digits=2)
    columns = [
        Column("decoder", say("column.decoder")),
        Column("label", say("column.answered_by")),
        Column("exact_match", say("column.exact_match"), decimal, "number"),
        Column("exact_match_interval", say("column.f1_interval"), say.interval, "interval"),
        Column("f1", say("column.f1"), decimal, "number"),
        Column("f1_interval", say("column.f1_interval"), say.interval, "interval"),
        Column("f1_design_effect", say("column.design_effect"), two, "number"),
        Column("best_of_n_exact_match", say("column.best_of_n_em"), decimal, "number"),
        Column("best_of_n_f1", say("column.best_of_n_f1"), decimal, "number"),
        Column("distinct_answers", say("column.distinct_answers"), two, "number"),
        Column("agreement", say("column.agreement"), say.percent, "number"),
        Column("answer_tokens", say("column.tokens_per_answer"), decimal, "number"),
        Column("ended_share", say("column.ended_share"), say.percent, "number"),
        Column("seconds_per_question", say("column.seconds_per_question"), two, "number"),
    ]
    return Table("decoding", say("decoding.caption"), columns, rows)


def _row(name: str, decoder: str, scores: Scores) -> list[Cell]:
    return [
        decoder, name, scores.exact_match, scores.exact_match_interval, scores.f1,
        scores.f1_interval, scores.f1_design_effect, scores.best_of_n_exact_match,
        scores.best_of_n_f1, scores.distinct_answers, scores.agreement, scores.answer_tokens,
        scores.ended_share, scores.seconds_per_question,
    ]  # fmt: skip
