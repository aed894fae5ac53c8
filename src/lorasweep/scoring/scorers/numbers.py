"""The scorer `number`: an answer's last or marked number against the reference's."""

import re
import unicodedata
from decimal import Decimal

from lorasweep.scoring.scorers.scorer import Scorer, best_of, scorer_of

MARKER = "####"
# Signs of other scripts, as ASCII; digits of any script are read by their values.
SIGNS = str.maketrans({"٫": ".", "٬": ",", "−": "-", "﹣": "-", "－": "-", "，": ",", "．": "."})
# Spaces and apostrophes that part thousands, where exactly three digits follow.
PARTED = re.compile("(?<=\\d)[\u00a0\u2009\u202f'’](?=\\d{3}(?!\\d))")
CURRENCY = "[$€£¥₹₽₩₺₪﷼₨¢]"
NUMBER = re.compile(
    rf"""
    (?P<sign>(?<![\w.,)%])[-+])?                       # no sign in 10-5 or a date
    (?:{CURRENCY}\s?(?P<behind>-)?)?
    (?P<digits>\d{{1,3}}(?:,\d{{2,3}})*,\d{{3}}(?!\d)  # 1,234 and 12,34,567
      |\d+)?
    (?P<fraction>(?(digits)(?:\.\d+)?|(?<!\w)\.\d+))   # 3.5 and .5
    (?P<exponent>(?:[eE][-+]?\d{{1,3}}(?!\w))?)
    """,
    re.VERBOSE,
)


def number() -> Scorer:
    """Return the scorer of equal numbers: the first one behind the last "####", else the last.

    Commas between thousands, currency and percent signs are dropped, digits may be of any script,
    and numbers are compared by value: 1,000.0 is 1000. A text without a number is compared as it
    stands.
    """
    return scorer_of("number", best_of(lambda a, b: float(number_in(a) == number_in(b))))


def number_in(text: str) -> Decimal | str:
    """Return the number that a text comes to, or the text where it holds none."""
    read = PARTED.sub("", _ascii(text))
    _, marker, behind = read.rpartition(MARKER)
    found = _numbers(behind) if marker else []
    if found:
        return found[0]
    found = _numbers(read)
    return found[-1] if found else text.strip()


def _numbers(text: str) -> list[Decimal]:
    matches = (match for match in NUMBER.finditer(text) if match["digits"] or match["fraction"])
    return [_value(match) for match in matches]


def _value(match: re.Match[str]) -> Decimal:
    digits = (match["digits"] or "").replace(",", "")
    value = Decimal(f"{digits}{match['fraction']}{match['exponent']}")
    is_negative = "-" in (match["sign"] or "") or bool(match["behind"])
    return value.copy_negate() if is_negative else value


def _ascii(text: str) -> str:
    return "".join(map(_digit, text.translate(SIGNS)))


def _digit(character: str) -> str:
    value = unicodedata.decimal(character, None)
    return character if value is None else str(value)
