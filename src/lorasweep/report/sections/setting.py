"""Data and method: what was trained and scored on, how, and how to do it again."""

import json
from collections.abc import Iterator
from typing import Any

from lorasweep.records import DataCard
from lorasweep.report.blocks import Block, Code, Items, Notice, Paragraph, Section
from lorasweep.report.language import Strings
from lorasweep.report.load import Outcome
from lorasweep.report.tables import Cell, Column, Table

COUNTS = (
    "articles", "paragraphs", "questions", "unanswerable", "too_long",
    "trunk_tokens", "branch_tokens", "answer_tokens",
)  # fmt: skip


def data(outcome: Outcome, say: Strings) -> Section:
    """Show a card for each set of questions."""
    cards = outcome.results.data
    if not cards:
        return Section("data", say("data.title"), [Notice(say("data.none"))])
    counts = [Column(key, say(f"column.{key}"), say.integer, "number") for key in COUNTS]
    columns = [
        Column("set", say("column.set")), *counts,
        Column("fingerprint", say("column.fingerprint")),
        Column("sources", say("column.sources"), kind="long"),
    ]  # fmt: skip
    rows = [_card(name, card, say) for name, card in cards.items()]
    table = Table("data", say("data.caption"), columns, rows)
    return Section("data", say("data.title"), [Paragraph(say("data.how_to_read")), table])


def method(outcome: Outcome, say: Strings) -> Section:
    """Show recipe, prompt, warnings and versions, and how to reproduce the study."""
    results = outcome.results
    blocks: list[Block] = [
        _pairs("recipe", dict(_flat(results.recipe)), say) or Notice(say("method.no_recipe")),
        Code(say("method.prompt"), results.prompt),
        _warnings(results.warnings, say),
        _pairs("versions", results.versions, say) or Notice(say("method.no_versions")),
        Items(
            say("method.reproduce"), [say(f"method.{key}") for key in ("install", "run", "check")]
        ),
        Code(say("method.command"), f"lorasweep run STUDY --out {outcome.store.out.name or 'OUT'}"),
    ]
    return Section("method", say("method.title"), blocks)


def _card(name: str, card: DataCard, say: Strings) -> list[Cell]:
    counts = [getattr(card, key) for key in COUNTS]
    return [_set_name(name, say), *counts, card.fingerprint, ", ".join(card.sources)]


def _set_name(name: str, say: Strings) -> str:
    return say(f"data.{name}") if name in ("train", "eval", "test") else name


def _pairs(id: str, values: dict[str, Any], say: Strings) -> Table | None:
    if not values:
        return None
    columns = [Column("name", say("column.name")), Column("value", say("column.value"))]
    rows = [[name, _text(value)] for name, value in values.items()]
    return Table(id, say(f"method.{id}"), columns, rows)


def _warnings(warnings: list[str], say: Strings) -> Items | Paragraph:
    if not warnings:
        return Paragraph(say("method.no_warnings"))
    return Items(say("method.warnings"), warnings)


def _flat(tables: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tables.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
