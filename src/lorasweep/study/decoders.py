"""Decoders by name: "greedy", "top-k-10", "nucleus-0.9", "temperature-0.7", "beam-4", "span".

A name is a key in records and a file name, so every decoder has exactly one.
"""

import re
from dataclasses import dataclass
from typing import Literal, cast

from lorasweep.errors import UserError, nearest, quoted

Kind = Literal["greedy", "span", "top-k", "nucleus", "temperature", "beam"]

SAMPLING = ("top-k", "nucleus", "temperature")
# What a number may be, in words, for the kinds that have one; and one that may be meant.
NUMBERS = {
    "top-k": ("a whole number from 1", "10"),
    "nucleus": ("a share between 0 and 1", "0.9"),
    "temperature": ("a number above 0", "0.7"),
    "beam": ("a whole number from 2 to 64", "4"),
}
PLAIN = ("greedy", "span")
NAME = re.compile(r"([a-z]+(?:-[a-z]+)*)(?:-([0-9.]+))?")
WORDS = re.compile(r"[a-z]+")
NUMBER = re.compile(r"\d+(?:\.\d+)?|\.\d+")


@dataclass(frozen=True, slots=True)
class Decoder:
    """A way to choose tokens; `number` is its k, p, temperature or count of beams, else 0."""

    kind: Kind
    number: float = 0.0

    @property
    def samples(self) -> bool:
        """Say whether answers are drawn at random."""
        return self.kind in SAMPLING

    def copies(self, draws: int) -> int:
        """Return how many continuations of a question grow side by side."""
        if self.kind == "beam":
            return int(self.number)
        return draws if self.samples else 1


def parse_decoder(name: str) -> Decoder:
    """Return the decoder of a name; raises UserError that says the nearest right name."""
    found = NAME.fullmatch(name)
    kind, number = found.groups() if found else ("", None)
    right = number is None if kind in PLAIN else kind in NUMBERS and _fits(kind, number or "")
    if not right:
        raise UserError(f"no decoder {quoted(name)}{_suggestion(name)}")
    return Decoder(cast(Kind, kind), float(number or 0))


def checked_names(names: list[str]) -> list[str]:
    """Return a study's decoders; raises ValueError that says what is wrong with them."""
    for name in names:
        try:
            parse_decoder(name)
        except UserError as error:
            raise ValueError(str(error)) from None
    if len(names) != len(set(names)):
        raise ValueError("a value occurs twice")
    if "greedy" not in names:
        raise ValueError('"greedy" cannot be left out: runs are ranked by it')
    return names


def _fits(kind: str, number: str) -> bool:
    """Say whether a number is in its kind's range, and written in the one way that it has."""
    if not NUMBER.fullmatch(number) or number != f"{float(number):.12g}":
        return False
    value = float(number)
    least, most = {"top-k": (1, 2**31), "beam": (2, 64), "nucleus": (0, 1)}.get(kind, (0, 2**31))
    if kind in ("top-k", "beam"):
        return value.is_integer() and least <= value <= most
    return least < value < most


def _suggestion(name: str) -> str:
    """Return the nearest right name: its kind by its letters, its number if that will do."""
    letters = "-".join(WORDS.findall(name.lower())).replace("top-p", "nucleus")
    shapes = [*PLAIN, *NUMBERS]
    close = nearest(letters, shapes).removeprefix("; did you mean '").removesuffix("'?")
    if close not in shapes:
        examples = [*PLAIN, *(f"{kind}-{example}" for kind, (_, example) in NUMBERS.items())]
        return f"; known: {', '.join(examples)}"
    if close in PLAIN:
        return f"; did you mean {close!r}?"
    allowed, example = NUMBERS[close]
    digits = NUMBER.findall(name)
    number = f"{float(digits[-1]):.12g}" if digits else example
    number = number if _fits(close, number) else example
    return f"; did you mean '{close}-{number}'? ({close} takes {allowed})"
