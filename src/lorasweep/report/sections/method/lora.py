"""LoRA explained: the update of low rank, what rank and learning rate do, this study's sizes."""

from collections import Counter

from lorasweep.folder.records import RunRecord
from lorasweep.report.blocks import Block, Code, Paragraph, Section
from lorasweep.report.load import Outcome
from lorasweep.report.sections.method.works import citations
from lorasweep.report.tables import Cell, Column, Table
from lorasweep.report.words.language import Strings

UPDATE = "W' = W + ΔW,   ΔW = (alpha / r) · B · A,   W: d × k,   B: d × r,   A: r × k"


def lora(outcome: Outcome, say: Strings) -> Section:
    """Explain LoRA, and count what one run of the study trained instead of all weights."""
    blocks: list[Block] = [
        Paragraph(say("lora.idea", hu=citations(outcome, say)["hu"])),
        Code(say("lora.update"), UPDATE),
        Paragraph(say("lora.start")),
        Paragraph(say("lora.ranks")),
        Paragraph(say("lora.rates")),
    ]
    blocks += _reduction(outcome, say)
    return Section("lora", say("lora.title"), blocks)


def _reduction(outcome: Outcome, say: Strings) -> list[Block]:
    """Set r(d + k) against d k for the run of the lowest rank whose adapter is on disk."""
    done = [run for run in outcome.results.runs if run.state == "done"]
    runs = [run for run in done if run.configuration.rank]
    for run in sorted(runs, key=lambda run: run.configuration.rank or 0):
        if sizes := outcome.adapter_sizes(run):
            return [
                Paragraph(_in_words(outcome, run, sizes, say)), _table(outcome, run, sizes, say)
            ]  # fmt: skip
    return []


def _in_words(
    outcome: Outcome, run: RunRecord, sizes: list[tuple[int, int, int]], say: Strings
) -> str:
    d, k, r = sizes[0]
    num_weights = outcome.results.base.num_parameters
    return say(
        "lora.numbers", name=outcome.names[run.id], r=say.integer(r), d=say.integer(d),
        k=say.integer(k), full=say.integer(d * k), small=say.integer(r * (d + k)),
        share=say.percent(r * (d + k) / (d * k), 2), all=say.integer(run.trainable_parameters),
        of_model=say.percent(run.trainable_parameters / num_weights, 2),
    )  # fmt: skip


def _table(
    outcome: Outcome, run: RunRecord, sizes: list[tuple[int, int, int]], say: Strings
) -> Table:
    columns = [
        Column("d", say("column.d"), say.integer, "number"),
        Column("k", say("column.k"), say.integer, "number"),
        Column("num_modules", say("column.num_modules"), say.integer, "number"),
        Column("full", say("column.full_weights"), say.integer, "number"),
        Column("lora", say("column.lora_weights"), say.integer, "number"),
        Column("share", say("column.share"), lambda share: say.percent(share, 2), "number"),
    ]
    rows: list[list[Cell]] = [
        [d, k, number, number * d * k, number * r * (d + k), r * (d + k) / (d * k)]
        for (d, k, r), number in Counter(sizes).items()
    ]
    return Table("reduction", say("lora.caption", name=outcome.names[run.id]), columns, rows)
