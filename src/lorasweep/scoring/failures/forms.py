"""Texts that say the same in another form: number words, dates, units, hyphens, plurals."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import pairwise

ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
TENS = (
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
)  # fmt: skip
ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth",
    "eighteenth", "nineteenth",
)  # fmt: skip
SMALL_NUMBERS = {
    **{word: number for number, word in enumerate(ONES)},
    **{word: number for number, word in enumerate(ORDINALS, start=1)},
    **{word: 10 * number for number, word in enumerate(TENS, start=2)},
    **{f"{word[:-1]}ieth": 10 * number for number, word in enumerate(TENS, start=2)},
}
SCALES = {
    "hundred": 100,
    "thousand": 1_000,
    "million": 1_000_000,
    "billion": 1_000_000_000,
    "trillion": 1_000_000_000_000,
}
SIGNS = {"%": " percent ", "$": " dollar ", "€": " euro ", "£": " pound ", "&": " and ",
         "°": " degree "}  # fmt: skip
SPELLINGS = {
    "per cent": "percent", "percentage": "percent", "km": "kilometre", "kilometer": "kilometre",
    "m": "metre", "meter": "metre", "cm": "centimetre", "centimeter": "centimetre",
    "mm": "millimetre", "millimeter": "millimetre", "kg": "kilogram", "kilogramme": "kilogram",
    "g": "gram", "ft": "foot", "feet": "foot", "mi": "mile", "lb": "pound", "hr": "hour",
    "min": "minute", "sec": "second", "usd": "dollar", "c": "celsius",
    "f": "fahrenheit", "mph": "mileperhour", "yr": "year",
    "usa": "unitedstate", "uk": "unitedkingdom",
}  # fmt: skip
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
SPELLINGS |= {month[:3]: month for month in MONTHS} | {"sept": "september"}

CURRENCIES = frozenset({"dollar", "euro", "pound"})
LAST_DAY = 31

ORDINAL_DIGITS = re.compile(r"^(\d+)(?:st|nd|rd|th)$")
POSSESSIVE = re.compile(r"['’]s?(?!\w)")
# 1,000 and 2.5 stay whole; "U.S." loses its full stops before.
TOKEN = re.compile(r"\d+(?:\.\d+)?(?:st|nd|rd|th)?|[^\W\d_]+")
MINUS = re.compile(r"(?<!\w)[-−](?=\d)")
# A space between digits stays: 10-20 is not 1020.
SPACE_BETWEEN_WORDS = re.compile(r"(?<!\d) | (?!\d)")
# Written small they are a pronoun.
US = re.compile(r"\bUS(?![\w$])|\bU\.S\.(?!A)")
US_DOLLAR = re.compile(r"\bUS\$|\bU\.S\.\$")
INITIALS = re.compile(r"\b(?:[^\W\d_]\.){2,}")
ARTICLES = frozenset({"a", "an", "the"})


def differ_in_form_only(a: str, b: str) -> bool:
    """Say whether two texts have the same canonical form; see `canonical`."""
    form = canonical(a)
    return bool(form) and form == canonical(b)


def canonical(text: str) -> str:
    """Return a text without what its form alone decides: equal results are worth a second look.

    Case, accents, punctuation, hyphens and spaces between words, articles, possessives and a
    plural s go; number words and ordinals become digits (twenty-five, 25th: 25; 1.5 million:
    1500000); common units, signs and months are written out; the parts of one date or one sum of
    money are sorted, where no two of them could be taken for each other.
    """
    tokens = [SPELLINGS.get(token, token) for token in map(_singular, _tokens(text))]
    numbered = list(_with_digits(tokens))
    if _is_date(numbered) or _is_money(numbered):
        numbered = sorted(token for token in numbered if token != "of")
    return SPACE_BETWEEN_WORDS.sub("", " ".join(numbered))


def _is_date(tokens: Sequence[str]) -> bool:
    """Say whether the tokens are of one date: a month, and at most one day and one year."""
    numbers = [float(token) for token in tokens if token[:1].isdecimal()]
    num_days = sum(number <= LAST_DAY for number in numbers)
    num_months = sum(token in MONTHS for token in tokens)
    return num_months == 1 and num_days <= 1 and len(numbers) - num_days <= 1


def _is_money(tokens: Sequence[str]) -> bool:
    """Say whether the tokens are of one sum: a currency and a number."""
    num_currencies = sum(token in CURRENCIES for token in tokens)
    return num_currencies == 1 and sum(token[:1].isdecimal() for token in tokens) == 1


def _tokens(text: str) -> list[str]:
    named = US.sub(" USA ", US_DOLLAR.sub("$", text))
    decomposed = unicodedata.normalize("NFKD", named).casefold()
    plain = "".join(c for c in decomposed if not unicodedata.combining(c))
    plain = POSSESSIVE.sub("", re.sub(r"(?<=\d),(?=\d{3})", "", plain))
    plain = MINUS.sub("minus ", plain)
    plain = INITIALS.sub(lambda initials: initials[0].replace(".", ""), plain)
    for sign, word in SIGNS.items():
        plain = plain.replace(sign, word)
    found: list[str] = TOKEN.findall(plain.replace("per cent", "percent"))
    return [token for token in found if token not in ARTICLES]


def _singular(word: str) -> str:
    if word[:-1] in SCALES:  # hundreds are not 100
        return word
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    return word[:-1] if word.endswith("s") and len(word) > 3 and word[-2] not in "su" else word


def _with_digits(tokens: Sequence[str]) -> Iterator[str]:
    """Replace each run of number words by one number in digits."""
    run: list[str] = []
    for token, following in pairwise([*tokens, ""]):
        joins = token == "and" and run and run[-1] in SCALES and _is_number(following)
        if joins:
            continue
        if run and not _continues(run, token):
            yield _value(run)
            run = []
        if _is_number(token):
            run.append(token)
        else:
            yield token
    if run:
        yield _value(run)


def _is_number(token: str) -> bool:
    return token in SMALL_NUMBERS or token in SCALES or token[:1].isdecimal()


def _continues(run: Sequence[str], token: str) -> bool:
    """Say whether a token goes on with the number: twenty-five, two hundred, 1.5 million."""
    if token in SCALES or (run[-1] in SCALES and _is_number(token)):
        return True
    return run[-1] in TENS and 0 < SMALL_NUMBERS.get(token, 0) < 10


def _value(run: Iterable[str]) -> str:
    """Return a run of number words as digits: "two", "hundred", "five" is 205."""
    total = current = Decimal(0)
    for token in run:
        if token == "hundred":
            current = (current or Decimal(1)) * 100
        elif token in SCALES:
            total += (current or Decimal(1)) * SCALES[token]
            current = Decimal(0)
        else:
            current += _small(token)
    return f"{(total + current).normalize():f}"


def _small(token: str) -> Decimal:
    if token in SMALL_NUMBERS:
        return Decimal(SMALL_NUMBERS[token])
    ordinal = ORDINAL_DIGITS.match(token)
    return Decimal(ordinal[1] if ordinal else token)
