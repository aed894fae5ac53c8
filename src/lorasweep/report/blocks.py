"""What a section is made of; templates/blocks.html has one macro per kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lorasweep.report.browser import Browsable
from lorasweep.report.charts.drawing import Spec
from lorasweep.report.tables import Table


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of plain text; one of what only a screen can do stands on the page alone."""

    kind: ClassVar[str] = "paragraph"
    text: str
    on_screen_alone: bool = False


@dataclass(frozen=True)
class Notice:
    """A sentence that says what is missing or what to beware of."""

    kind: ClassVar[str] = "notice"
    text: str


@dataclass(frozen=True)
class Items:
    """A list of sentences under a heading; none where the title is empty."""

    kind: ClassVar[str] = "items"
    title: str
    items: Sequence[str]


@dataclass(frozen=True)
class Fact:
    """A term, its value, and a remark below it."""

    term: str
    value: str
    remark: str = ""


@dataclass(frozen=True)
class Facts:
    """The few values to see first."""

    kind: ClassVar[str] = "facts"
    facts: Sequence[Fact]


@dataclass(frozen=True)
class Code:
    """Text to be shown as it is, every space kept."""

    kind: ClassVar[str] = "code"
    title: str
    text: str


@dataclass(frozen=True)
class Figure:
    """A chart with its title, its caption, the words that stand for it, and its number."""

    kind: ClassVar[str] = "figure"
    id: str
    title: str
    caption: str
    alternative: str
    spec: Spec
    label: str = ""


@dataclass(frozen=True)
class Browser:
    """A table of predictions to search; on the page alone, where a script fills it."""

    kind: ClassVar[str] = "browser"
    content: Browsable


Block = Paragraph | Notice | Items | Facts | Code | Figure | Table | Browser


@dataclass(frozen=True)
class Section:
    """A part of the report, in reading order; `id` is its anchor on the page.

    One that `is_empty` says only that there is nothing to show, and is left out of the report.
    """

    id: str
    title: str
    blocks: Sequence[Block]
    is_empty: bool = False

    def tables(self) -> list[Table]:
        return [block for block in self.blocks if isinstance(block, Table)]

    @property
    def on_screen_alone(self) -> bool:
        """Whether the section is of use only where a script runs."""
        return any(isinstance(block, Browser) for block in self.blocks)

    def figures(self) -> list[Figure]:
        return [block for block in self.blocks if isinstance(block, Figure)]
