"""The visible words of the report: one strings file per language, and how it writes numbers."""

import datetime
import itertools
import re
import tomllib
import unicodedata
from collections.abc import Sequence
from importlib import resources
from typing import Any, Self

from lorasweep.errors import UserError, nearest
from lorasweep.folder.stored import Interval

GIB = 2**30
DEFAULT_LANGUAGE = "en"
FOLDER = resources.files("lorasweep.report.words") / "strings"

# Unicode's isolates: what stands between one of the first two and POP has a direction of its own.
LEFT_TO_RIGHT, RIGHT_TO_LEFT, POP = "\u2066", "\u2067", "\u2069"
MARKS = re.compile(f"[{LEFT_TO_RIGHT}{RIGHT_TO_LEFT}{POP}]")
DEPTHS = {LEFT_TO_RIGHT: 1, RIGHT_TO_LEFT: 1, POP: -1}
# Numbers by themselves: not those of 3e-4, 2r or a version.
PLAIN_NUMBER = re.compile(r"(?<![\w.-])\d+(?:\.\d+)?(?![\w.])")


class Strings:
    """The strings of one language, looked up by dotted key and filled with values.

    In a language that is written from right to left, values are isolated, so that the name of a
    run or a signed number within a sentence keeps its own order and leaves the sentence its own.
    Learning rates, run labels, hashes and all that people type stay as they are typed.
    """

    def __init__(self, tables: dict[str, Any]) -> None:
        self._strings = strings = _flatten(tables)
        self.direction, self.font = strings["language.direction"], strings["language.font"]
        signs = (strings[f"number.{sign}"] for sign in ("digits", "decimal", "thousands"))
        self._signs = str.maketrans("0123456789.,", "".join(signs))

    @classmethod
    def load(cls, language: str) -> Self:
        """Read strings/LANGUAGE.toml; UserError names the nearest language there is."""
        if language not in languages():
            raise UserError(f"no report in language {language!r}{nearest(language, languages())}")
        return cls(tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8")))

    def __call__(self, key: str, **values: str | int) -> str:
        shown = {name: self.isolated(str(value)) for name, value in values.items()}
        return self._strings[key].format(**shown)

    def count(self, key: str, number: int, **values: str | int) -> str:
        """Return a string that says how many, in the singular or the plural."""
        form = "one" if number == 1 else "other"
        return self(f"{key}.{form}", number=self.integer(number), **values)

    def direction_of(self, text: str) -> str:
        """Return the value of HTML's `dir` for a text that stands alone.

        One with letters that are written from right to left goes as the page does, since words of
        a page in such a language may begin with a name; the direction of others can be seen.
        """
        return self.direction if _has(text, "R", "AL") else "auto"

    def isolated(self, text: str) -> str:
        """Return a text so that neither it nor what is around it changes the other's order."""
        if self.direction == "ltr" or _is_isolated(text):
            return text
        return f"{RIGHT_TO_LEFT if _has(text, 'R', 'AL') else LEFT_TO_RIGHT}{text}{POP}"

    def quoted(self, text: str) -> str:
        """Return a text that stands alone, isolated where it is of another script than the page."""
        return self.isolated(text) if _has(text, "L") and not _has(text, "R", "AL") else text

    def joined(self, separator: str, items: Sequence[str]) -> str:
        """Return the items in the order of reading, whatever the direction of each."""
        line = separator.join(self.isolated(item) for item in items)
        return line if self.direction == "ltr" else f"{RIGHT_TO_LEFT}{line}{POP}"

    def list(self, items: Sequence[str], most: int = 6) -> str:
        """Return the items in one line, and how many more there are than `most`."""
        shown = self.joined(self("number.comma"), items[:most])
        return (
            shown
            if len(items) <= most
            else self.count("number.more", len(items) - most, items=shown)
        )

    def integer(self, value: int) -> str:
        """Return a whole number with its thousands set apart."""
        return f"{value:,}".translate(self._signs)

    def decimal(self, value: float, digits: int = 1) -> str:
        """Return a number with a fixed count of decimal digits."""
        return f"{value:,.{digits}f}".translate(self._signs)

    def interval(self, interval: Interval) -> str:
        """Return both ends of an interval of scores."""
        low, high = (self.decimal(end) for end in interval)
        return self("number.interval", low=low, high=high)

    def signed(self, value: float, digits: int = 1) -> str:
        """Return a difference of scores with its sign."""
        shown = f"{value:+,.{digits}f}".replace("-", "−").translate(self._signs)
        return self.isolated(shown)

    def signed_interval(self, interval: Interval, digits: int = 1) -> str:
        """Return both ends of an interval of differences."""
        low, high = (self.signed(end, digits) for end in interval)
        return self("number.signed_interval", low=low, high=high)

    def p_value(self, value: float) -> str:
        """Return a p value with three decimal digits, or as smaller than those show."""
        return self("number.small_p") if value < 0.001 else self.decimal(value, 3)

    def percent(self, share: float, digits: int = 0) -> str:
        """Return a share from 0 to 1 in percent."""
        return self("number.percent", value=self.decimal(100 * share, digits))

    def plain(self, value: float) -> str:
        """Return a number with the digits that it needs, four at most behind the first."""
        return self.integer(int(value)) if value == int(value) else self.figures(f"{value:.5g}")

    def figures(self, text: str) -> str:
        """Return a text with the numbers in it as the language writes them; 3e-4 and 2r stay."""
        return PLAIN_NUMBER.sub(lambda found: found[0].translate(self._signs), text)

    def axis_value(self, axis: str, value: int | float | str) -> str:
        """Return a value of an axis of the grid as it is written in sentences."""
        return self.figures(self.notation(axis, value))

    def notation(self, axis: str, value: int | float | str) -> str:
        """Return a value of an axis of the grid as study files have it: learning rates as 3e-4."""
        return self.rate(float(value)) if axis == "lr" else str(value).removesuffix(".0")

    def rate(self, value: float) -> str:
        """Return a learning rate as in 3e-4."""
        mantissa, exponent = f"{value:.3e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"

    def gibibytes(self, num_bytes: int) -> str:
        """Return a count of bytes in GiB."""
        return self.decimal(num_bytes / GIB, 2)

    def date(self, day: datetime.date) -> str:
        """Return a day as in 3 May 2026."""
        month = self._strings["date.months"].split()[day.month - 1]
        plain = (str(number).translate(self._signs) for number in (day.day, day.year))
        return self("date.day", month=month, **dict(zip(("number", "year"), plain, strict=True)))

    def number_locale(self) -> dict[str, Any]:
        """Return how numbers are written, in the form of D3's locales, for the charts."""
        return {
            "decimal": self("number.decimal"),
            "thousands": self("number.thousands"),
            "grouping": [3],
            "currency": ["", ""],
            "numerals": [*self("number.digits")],
        }


def languages() -> list[str]:
    """Return the languages that have a strings file."""
    names = (file.name for file in FOLDER.iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def unmarked(text: str) -> str:
    """Return a text without isolates, for what is read out and not seen."""
    return MARKS.sub("", text)


def _is_isolated(text: str) -> bool:
    """Say whether a text is one isolate from its first sign to its last."""
    if text[:1] not in (LEFT_TO_RIGHT, RIGHT_TO_LEFT):
        return False
    depths = list(itertools.accumulate(DEPTHS.get(sign, 0) for sign in text))
    return 0 not in depths[:-1] and depths[-1] == 0


def _has(text: str, *kinds: str) -> bool:
    """Say whether a text has letters of these bidirectional classes of Unicode."""
    return any(unicodedata.bidirectional(letter) in kinds for letter in text)


def _flatten(tables: dict[str, Any], prefix: str = "") -> dict[str, str]:
    strings: dict[str, str] = {}
    for key, value in tables.items():
        if isinstance(value, dict):
            strings |= _flatten(value, f"{prefix}{key}.")
        else:
            strings[prefix + key] = value
    return strings
