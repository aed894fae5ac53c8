"""Offsets of answers: texts and starts come in; answers go out, and what is wrong with all starts.

The first wrong one is told with how many there are, and with the unit that would fit all of them.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field

from lorasweep.data.examples import Dataset
from lorasweep.data.sources.json_text import shown
from lorasweep.errors import UserError

# Letters of Arabic and Persian keyboards that look alike, and marks that are not seen.
LOOK_ALIKE = str.maketrans({"ي": "ی", "ك": "ک", "ة": "ه", "\u200c": None, "\u200d": None,
                            "\u00ad": None, "\ufeff": None, "’": "'", "‘": "'", "“": '"',
                            "”": '"', "–": "-", "‑": "-", "−": "-"})  # fmt: skip


@dataclass(slots=True)
class Offsets:
    """The starts of one source as they are read; `refuse_wrong` tells of all at its end."""

    starts: list[tuple[str, int, str]] = field(default_factory=list)
    num_wrong: int = 0
    first_wrong: str = ""

    def start(self, text: str, start: int | None, context: str, where: str) -> int:
        """Return an answer's start; where none is given it is looked for, -1 if it is not there."""
        if start is None:
            return context.find(text)
        self.starts.append((text, start, context))
        if not _fits(text, start, context):
            self.num_wrong += 1
            self.first_wrong = self.first_wrong or f"{where}: {_mismatch(text, start, context)}"
        return start

    def refuse_wrong(self) -> None:
        """Raise UserError where a start is wrong."""
        if not self.num_wrong:
            return
        count = f"; {self.num_wrong:,} of {len(self.starts):,} offsets are wrong"
        raise UserError(self.first_wrong + (count if len(self.starts) > 1 else "") + self._unit())

    def _unit(self) -> str:
        for name, start_in_characters in UNITS.items():
            if all(
                _fits(text, start_in_characters(start, context), context)
                for text, start, context in self.starts
            ):
                what = "all fit" if len(self.starts) > 1 else "it fits"
                return f"; counted {name}, {what}"
        return ""


def unplaced_warning(dataset: Dataset, which: str = "") -> list[str]:
    """Say in at most one sentence how many answers do not stand in their contexts."""
    answers = [(a, g.context) for g in dataset.groups for e in g.examples for a in e.placed]
    unplaced = [(text, context) for (text, start), context in answers if start < 0]
    if not unplaced:
        return []
    said = (
        f"{len(unplaced):,} of {len(answers):,} {which}answers do not stand in their contexts, "
        f"such as {shown(unplaced[0][0])}"
    )
    forms = [(text, form) for text, context in unplaced if (form := other_form(text, context))]
    if not forms:
        return [said]
    text, form = forms[0]
    return [f"{said}; {len(forms):,} of them but for their Unicode form: of {shown(text)}, {form}"]


def other_form(text: str, context: str) -> str:
    """Say where a text stands in a context in another Unicode form; "" where it does not."""
    folded_text, _ = _folded(text)
    folded_context, places = _folded(context)
    place = folded_context.find(folded_text) if folded_text else -1
    if place < 0:
        return ""
    start, end = places[place], places[place + len(folded_text)]
    there = context[start:end]
    pair = next((p for p in zip(text, there, strict=False) if p[0] != p[1]), None)
    wrong, right = pair or (text[len(there) :][:1], there[len(text) :][:1])
    return (
        f"it stands at {start} in another Unicode form: {_points(right)} there, "
        f"{_points(wrong)} in the answer"
    )


def _fits(text: str, start: int, context: str) -> bool:
    return start >= 0 and context.startswith(text, start)


def _mismatch(text: str, start: int, context: str) -> str:
    there = repr(context[start : start + len(text)]) if start >= 0 else "nothing"
    found = [match.start() for match in re.finditer(re.escape(text), context)]
    nearest_start = min(found, key=lambda offset: abs(offset - start), default=None)
    absent = other_form(text, context) or "the context does not hold it"
    right = f"it starts at {nearest_start}" if found else absent
    return f"answer_start {start} does not match {text!r}: {there} stands there; {right}"


def _folded(text: str) -> tuple[str, list[int]]:
    """Return a text in which forms that look alike are equal, and whence each character comes."""
    parts: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        form = unicodedata.normalize("NFKD", character.translate(LOOK_ALIKE))
        form = form.translate(LOOK_ALIKE)
        parts.append(form)
        places += [place] * len(form)
    return "".join(parts), [*places, len(text)]


def _points(character: str) -> str:
    return f"U+{ord(character):04X}" if character else "nothing"


def _of_bytes(start: int, context: str) -> int:
    return len(context.encode()[: max(start, 0)].decode(errors="ignore"))


def _of_utf16(start: int, context: str) -> int:
    return len(context.encode("utf-16-le")[: 2 * max(start, 0)].decode("utf-16-le", "ignore"))


def _of_stripped(start: int, context: str) -> int:
    return start + len(context) - len(context.lstrip())


# From a start in some unit to one in characters.
UNITS: dict[str, Callable[[int, str], int]] = {
    "in UTF-16 units": _of_utf16,
    "in bytes": _of_bytes,
    "from the first character that is no space": _of_stripped,
    "from 1": lambda start, _: start - 1,
    "from -1": lambda start, _: start + 1,
}
