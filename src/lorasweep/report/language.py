"""The visible words of the report: one strings file per language, and how it writes numbers."""

import tomllib
from importlib import resources
from typing import Any, Self

from lorasweep.errors import UserError, nearest
from lorasweep.stored import Interval

GIB = 2**30


class Strings:
    """The strings of one language, looked up by dotted key and filled with values."""

    def __init__(self, tables: dict[str, Any]) -> None:
        self._strings = _flatten(tables)

    @classmethod
    def load(cls, language: str) -> Self:
        """Read strings/LANGUAGE.toml; UserError names the nearest language there is."""
        file = resources.files("lorasweep.report") / "strings" / f"{language}.toml"
        if not file.is_file():
            raise UserError(f"no report in language {language!r}{nearest(language, languages())}")
        return cls(tomllib.loads(file.read_text(encoding="utf-8")))

    def __call__(self, key: str, **values: str | int) -> str:
        return self._strings[key].format(**values)

    def count(self, key: str, number: int, **values: str | int) -> str:
        """Return a string that says how many, in the singular or the plural."""
        form = "one" if number == 1 else "other"
        return self(f"{key}.{form}", number=self.integer(number), **values)

    def list(self, items: list[str], most: int = 6) -> str:
        """Return the items in one line, and how many more there are than `most`."""
        shown = self("number.comma").join(items[:most])
        return (
            shown
            if len(items) <= most
            else self.count("number.more", len(items) - most, items=shown)
        )

    def integer(self, value: int) -> str:
        """Return a whole number with its thousands set apart."""
        return f"{value:,}"

    def decimal(self, value: float, digits: int = 1) -> str:
        """Return a number with a fixed count of decimal digits."""
        return f"{value:,.{digits}f}"

    def interval(self, interval: Interval) -> str:
        """Return both ends of an interval of scores."""
        low, high = (self.decimal(end) for end in interval)
        return self("number.interval", low=low, high=high)

    def signed(self, value: float, digits: int = 1) -> str:
        """Return a difference of scores with its sign."""
        return f"{value:+,.{digits}f}".replace("-", "−")

    def signed_interval(self, interval: Interval, digits: int = 1) -> str:
        """Return both ends of an interval of differences."""
        low, high = (self.signed(end, digits) for end in interval)
        return self("number.signed_interval", low=low, high=high)

    def p_value(self, value: float) -> str:
        """Return a p value with three decimal digits, or as smaller than those show."""
        return self("number.small_p") if value < 0.001 else f"{value:.3f}"

    def percent(self, share: float, digits: int = 0) -> str:
        """Return a share from 0 to 1 in percent."""
        return self("number.percent", value=self.decimal(100 * share, digits))

    def plain(self, value: float) -> str:
        """Return a number with the digits that it needs, four at most behind the first."""
        return self.integer(int(value)) if value == int(value) else f"{value:.5g}"

    def axis_value(self, axis: str, value: int | float | str) -> str:
        """Return a value of an axis of the grid: learning rates as in 3e-4."""
        return self.rate(float(value)) if axis == "lr" else str(value).removesuffix(".0")

    def rate(self, value: float) -> str:
        """Return a learning rate as in 3e-4."""
        mantissa, exponent = f"{value:.3e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"

    def gibibytes(self, num_bytes: int) -> str:
        """Return a count of bytes in GiB."""
        return self.decimal(num_bytes / GIB, 2)


def languages() -> list[str]:
    """Return the languages that have a strings file."""
    folder = resources.files("lorasweep.report") / "strings"
    names = (file.name for file in folder.iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def _flatten(tables: dict[str, Any], prefix: str = "") -> dict[str, str]:
    strings: dict[str, str] = {}
    for key, value in tables.items():
        if isinstance(value, dict):
            strings |= _flatten(value, f"{prefix}{key}.")
        else:
            strings[prefix + key] = value
    return strings
