"""Full fine-tuning against LoRA: the best run of each, and what the test says of them."""

from lorasweep.folder.findings import Comparison
from lorasweep.folder.scores import eval_loss_of
from lorasweep.report.blocks import Block, Notice, Paragraph, Section
from lorasweep.report.load import Outcome
from lorasweep.report.ranking import Scored, analysis_of, scored_runs
from lorasweep.report.tables import Cell, Column, Table
from lorasweep.report.words.language import Strings
from lorasweep.report.words.sentences import f1_sentence


def full(outcome: Outcome, say: Strings) -> Section:
    """Set the best fully trained run beside the best LoRA run."""
    scored = scored_runs(outcome.results)
    best = {method: _first(scored, method) for method in ("full", "lora")}
    pair = [each for each in best.values() if each is not None]
    is_planned = {"full", "lora"} <= {run.configuration.method for run in outcome.results.runs}
    if len(pair) < 2:
        blocks: list[Block] = [Notice(say("full.not_scored" if is_planned else "full.none"))]
    else:
        blocks = [Paragraph(_in_words(outcome, pair, say)), _table(outcome, pair, say)]
    return Section("full", say("full.title"), blocks, is_empty=not is_planned)


def _first(scored: list[Scored], method: str) -> Scored | None:
    return next((each for each in scored if each.run.configuration.method == method), None)


def comparison_of(outcome: Outcome, pair: list[Scored]) -> Comparison | None:
    """Return the test of two runs, one of which is the best of all; None where there is none."""
    found, ids = analysis_of(outcome.results), {each.run.id for each in pair}
    tested = found.comparisons if found else []
    return next((each for each in tested if {each.run, each.against} == ids), None)


def _in_words(outcome: Outcome, pair: list[Scored], say: Strings) -> str:
    trained, adapted = (each.run.trainable_parameters for each in pair)
    tested = comparison_of(outcome, pair)
    sentence = f1_sentence(tested, outcome.results, say) if tested else say("full.untested")
    share = say("full.share", share=say.percent(adapted / trained, 2))
    return f"{sentence} {share}"


def _table(outcome: Outcome, pair: list[Scored], say: Strings) -> Table:
    columns = [
        Column("label", say("column.label")),
        Column("f1", say("column.f1"), say.decimal, "number"),
        Column("f1_interval", say("column.f1_interval"), say.interval, "interval"),
        Column("exact_match", say("column.exact_match"), say.decimal, "number"),
        Column("eval_loss", say("column.eval_loss"), lambda x: say.decimal(x, 3), "number"),
        Column("trainable_parameters", say("column.trainable_parameters"), say.integer, "number"),
        Column("lanes", say("column.lanes"), say.integer, "number"),
        Column("train_seconds", say("column.train_seconds"), say.decimal, "number"),
        Column("peak_memory_bytes", say("column.peak_memory_bytes"), say.gibibytes, "number"),
    ]
    rows = [_row(outcome, each) for each in pair]
    return Table("full_vs_lora", say("full.caption"), columns, rows)


def _row(outcome: Outcome, each: Scored) -> list[Cell]:
    run, scores = each.run, each.scores
    return [
        outcome.names[run.id], scores.rank.mean, scores.rank.interval,
        scores.scores["exact_match"].mean, eval_loss_of(run.metrics),
        run.trainable_parameters, run.pack.lanes, run.train_seconds, run.peak_memory_bytes or None,
    ]  # fmt: skip
