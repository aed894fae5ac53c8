"""Data: how many questions each set holds, how long they are, and whether sets share contexts."""

from lorasweep.folder.records import DataCard
from lorasweep.report.blocks import Block, Notice, Paragraph, Section
from lorasweep.report.load import Outcome
from lorasweep.report.tables import Cell, Column, Table
from lorasweep.report.words.language import Strings

COUNTS = ("articles", "paragraphs", "questions", "unanswerable", "too_long")
ROLES = ("train", "eval", "test")


def data(outcome: Outcome, say: Strings) -> Section:
    """Show a card for each set of questions."""
    cards = outcome.results.data
    if not cards:
        return Section("data", say("data.title"), [Notice(say("data.none"))])
    blocks: list[Block] = [Paragraph(say("data.how_to_read"))]
    blocks += [_sizes(cards, say), _lengths(cards, say)]
    blocks += [_leak(role, card, say) for role, card in cards.items() if role != "train"]
    return Section("data", say("data.title"), blocks)


def set_name(role: str, say: Strings) -> str:
    """Return what people call a set of questions."""
    return say(f"data.{role}") if role in ROLES else role


def _sizes(cards: dict[str, DataCard], say: Strings) -> Table:
    counts = [Column(key, say(f"column.{key}"), say.integer, "number") for key in COUNTS]
    columns = [
        Column("set", say("column.set")), *counts,
        Column("fingerprint", say("column.fingerprint")),
        Column("sources", say("column.sources"), kind="long"),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [set_name(role, say), *(getattr(card, key) for key in COUNTS), card.fingerprint,
         ", ".join(card.sources)]
        for role, card in cards.items()
    ]  # fmt: skip
    return Table("data", say("data.caption"), columns, rows)


def _lengths(cards: dict[str, DataCard], say: Strings) -> Table:
    columns = [
        Column("set", say("column.set")),
        Column("context", say("column.context_tokens"), say.decimal, "number"),
        Column("question_and_answer", say("column.branch_tokens"), say.decimal, "number"),
        Column("answer", say("column.answer_tokens"), say.decimal, "number"),
        Column("longest", say("column.longest_tokens"), say.integer, "number"),
        Column("answer_share", say("column.answer_share"), lambda x: say.percent(x, 1), "number"),
    ]
    rows = [[set_name(role, say), *_length_cells(card)] for role, card in cards.items()]
    return Table("token_lengths", say("data.lengths"), columns, rows)


def _length_cells(card: DataCard) -> list[Cell]:
    total = card.trunk_tokens + card.branch_tokens
    if not (total and card.paragraphs and card.questions):
        return [None] * 5
    return [
        card.trunk_tokens / card.paragraphs,
        card.branch_tokens / card.questions,
        card.answer_tokens / card.questions,
        card.longest_tokens or None,
        card.answer_tokens / total,
    ]


def _leak(role: str, card: DataCard, say: Strings) -> Block:
    name = set_name(role, say)
    if card.shared_contexts is None:
        return Notice(say("data.leak_unknown", name=name))
    if card.shared_contexts == 0:
        return Paragraph(say("data.no_leak", name=name, paragraphs=say.integer(card.paragraphs)))
    return Notice(say.count("data.leak", card.shared_contexts, name=name))
