"""Figures and tables get numbers, in reading order, and sentences that send readers to them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from lorasweep.report.blocks import Block, Figure, Paragraph, Section
from lorasweep.report.tables import Table
from lorasweep.report.words.language import Strings, unmarked

# Marks of Unicode's private area: nobody's text holds them.
POINTER = re.compile("\ue000(\\w+)\ue001")
# Places of figures and tables, from 1, by kind and id.
Places = Mapping[tuple[str, str], int]


def pointing(sentence: str, id: str) -> str:
    """Let a sentence end in " (Figure 3)": in the number of a figure, else of a table.

    Nothing is said of one that is not there.
    """
    return f"{sentence.removesuffix('.')}\ue000{id}\ue001."


def numbered(sections: Sequence[Section], say: Strings) -> list[Section]:
    """Return the sections with numbers on figures and tables, in the order given."""
    kinds = (
        ("figure", [each.id for section in sections for each in section.figures()]),
        ("table", [each.id for section in sections for each in section.tables()]),
    )
    places = {(kind, id): place for kind, ids in kinds for place, id in enumerate(ids, start=1)}
    return [replace(section, blocks=list(_blocks(section, places, say))) for section in sections]


def _blocks(section: Section, places: Places, say: Strings) -> Iterator[Block]:
    """Yield a section's blocks; the sentence comes after the first paragraph, else first of all."""
    first = next((i for i, b in enumerate(section.blocks) if isinstance(b, Paragraph)), -1)
    sentence = _see(section, places, say)
    if first < 0:
        yield from sentence
    for place, block in enumerate(section.blocks):
        yield _labelled(block, places, say)
        if place == first:
            yield from sentence


def _labelled(block: Block, places: Places, say: Strings) -> Block:
    if isinstance(block, Figure):
        label = _label(block.kind, places[block.kind, block.id], say)
        return replace(block, label=label, alternative=unmarked(block.alternative))
    if isinstance(block, Table):
        return replace(block, label=_label(block.kind, places[block.kind, block.id], say))
    if isinstance(block, Paragraph):
        return replace(block, text=POINTER.sub(lambda m: _pointed(m[1], places, say), block.text))
    return block


def _label(kind: str, place: int, say: Strings) -> str:
    return say(f"numbers.{kind}", number=say.integer(place))


def _pointed(id: str, places: Places, say: Strings) -> str:
    kind = next((kind for kind in ("figure", "table") if (kind, id) in places), None)
    return f" ({say.isolated(_label(kind, places[kind, id], say))})" if kind else ""


def _see(section: Section, places: Places, say: Strings) -> list[Block]:
    """Name the section's figures and tables by their numbers."""
    kinds = (("figure", section.figures()), ("table", section.tables()))
    names = [_range(kind, [places[kind, each.id] for each in of], say) for kind, of in kinds if of]
    if not names:
        return []
    key = "numbers.see" if len(names) == 1 else "numbers.see_both"
    return [Paragraph(say(key, first=names[0], second=names[-1]))]


def _range(kind: str, places: Sequence[int], say: Strings) -> str:
    """Return "Figure 3", "Figures 3 and 4", or "Figures 3 to 7": a section's follow each other."""
    if len(places) == 1:
        return _label(kind, places[0], say)
    form = "pair" if len(places) == 2 else "range"
    return say(
        f"numbers.{kind}s.{form}", first=say.integer(places[0]), last=say.integer(places[-1])
    )
