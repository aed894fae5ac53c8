"""report.md: the sections as a written report, in the order of one, with figures and tables."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lorasweep.report.blocks import (
    Block,
    Code,
    Facts,
    Figure,
    Items,
    Notice,
    Paragraph,
    Section,
)
from lorasweep.report.load import Outcome
from lorasweep.report.numbers import numbered
from lorasweep.report.tables import Table, markdown_text, to_markdown
from lorasweep.report.words.language import Strings

# Chapters of a written report and the sections in each, by their ids.
CHAPTERS: dict[str, Sequence[str]] = {
    "abstract": ("summary",),
    "introduction": ("lora",),
    "data": ("data",),
    "method": ("method", "grid"),
    "results": (
        "leaderboard", "gain", "comparisons", "top", "ablation", "cost", "full", "decoding",
        "failures", "answers", "losses", "overfitting", "race", "health",
    ),
    "discussion": ("discussion", "limitations"),
    "conclusion": ("conclusion",),
    "appendix": ("reproduce",),
    "references": ("references",),
}  # fmt: skip


def byline(outcome: Outcome, say: Strings) -> str:
    """Return who hands the report in, where the study says so, and the day it was written."""
    author = outcome.study.report.author if outcome.study else ""
    day = say.date(outcome.today)
    return say("page.byline", author=author, date=day) if author else day


def written_report(study: str, sections: Sequence[Section], say: Strings, byline: str = "") -> str:
    """Return the report as Markdown; figures and tables/ lie beside it."""
    by_id = {section.id: section for section in sections}
    order = [by_id[id] for ids in CHAPTERS.values() for id in ids if id in by_id]
    by_id = {section.id: section for section in numbered(order, say)}
    parts = [f"# {markdown_text(say('page.title', study=study))}", markdown_text(byline)]
    for chapter, ids in CHAPTERS.items():
        title = say(f"chapter.{chapter}")
        parts.append(f"## {markdown_text(title)}")
        for section in (by_id[id] for id in ids if id in by_id):
            has_own_title = len(ids) > 1 and section.title != title
            parts += [f"### {markdown_text(section.title)}"] if has_own_title else []
            parts += [_written(block, say) for block in section.blocks]
    return directed("\n\n".join(part.strip() for part in parts if part.strip()) + "\n", say)


def directed(markdown: str, say: Strings) -> str:
    """Return Markdown in the direction of its language: readers take it from left to right."""
    return markdown if say.direction == "ltr" else f'<div dir="rtl">\n\n{markdown}\n</div>\n'


def _written(block: Block, say: Strings) -> str:
    write = WRITERS.get(type(block))
    return write(block, say) if write else ""


def _items(block: Items, say: Strings) -> str:
    heading = [f"**{markdown_text(block.title)}**", ""] if block.title else []
    return "\n".join([*heading, *(f"- {markdown_text(say.quoted(item))}" for item in block.items)])


def _facts(block: Facts, say: Strings) -> str:
    rows = (f"{fact.term}: {say.isolated(fact.value)}" + f" ({fact.remark})" * bool(fact.remark)
            for fact in block.facts)  # fmt: skip
    return "\n".join(f"- {markdown_text(row)}" for row in rows)


def _code(block: Code, say: Strings) -> str:
    """Return an indented block, which no text can end."""
    lines = "\n".join(f"    {line}" for line in block.text.splitlines())
    if say.direction == "rtl":
        lines = f'<div dir="ltr">\n\n{lines}\n\n</div>'
    return f"**{markdown_text(block.title)}**\n\n{lines}"


def _figure(block: Figure, _: Strings) -> str:
    picture = f"![{markdown_text(block.alternative)}](figures/{block.id}.svg)"
    title = f"{block.label}. {block.title}"
    return f"{picture}\n\n*{markdown_text(title)}.* {markdown_text(block.caption)}"


def _table(block: Table, say: Strings) -> str:
    block = replace(block, caption=f"{block.label}. {block.caption}")
    return f"*{to_markdown(block, say.quoted).replace(chr(10), '*' + chr(10), 1)}"


WRITERS: Mapping[type, Callable[[Any, Strings], str]] = {
    Paragraph: lambda block, _: "" if block.on_screen_alone else markdown_text(block.text),
    Notice: lambda block, say: f"> {markdown_text(say.quoted(block.text))}",
    Items: _items,
    Facts: _facts,
    Code: _code,
    Figure: _figure,
    Table: _table,
}
