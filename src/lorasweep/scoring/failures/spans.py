"""Where a text stands in its context, word by word."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

WORD = re.compile(r"[^\W_]+")
ARTICLES = frozenset({"a", "an", "the"})


@dataclass(frozen=True, slots=True)
class Span:
    """Characters start to end (exclusive) of a context."""

    start: int
    end: int

    def overlap(self, other: "Span") -> int:
        """Return how many characters both hold."""
        return max(0, min(self.end, other.end) - max(self.start, other.start))

    def holds(self, other: "Span") -> bool:
        """Say whether the other lies in this one."""
        return self.start <= other.start and other.end <= self.end


@dataclass(frozen=True, slots=True)
class Word:
    """A word in lower case and where it stands."""

    text: str
    span: Span


@lru_cache(maxsize=256)
def words_of(text: str) -> tuple[Word, ...]:
    """Return the words of a text: letters and digits in lower case, without articles."""
    found = (Word(m[0].lower(), Span(m.start(), m.end())) for m in WORD.finditer(text))
    return tuple(word for word in found if word.text not in ARTICLES)


def texts(words: Sequence[Word]) -> list[str]:
    """Return the words without their places."""
    return [word.text for word in words]


def positions(part: Sequence[str], whole: Sequence[str]) -> list[int]:
    """Return where a sequence of words begins in another; nowhere for an empty one."""
    if not part:
        return []
    last = len(whole) - len(part)
    size = len(part)
    return [i for i in range(last + 1) if whole[i] == part[0] and list(whole[i : i + size]) == part]


def occurrences(text: str, context: Sequence[Word]) -> list[Span]:
    """Return every place where the words of a text stand in the context, in their order."""
    part = texts(words_of(text))
    starts = positions(part, texts(context))
    return [Span(context[i].span.start, context[i + len(part) - 1].span.end) for i in starts]


def span_from(text: str, start: int) -> Span | None:
    """Return what the words of a text at a known offset cover; None where it has no words."""
    words = words_of(text)
    if not words:
        return None
    return Span(start + words[0].span.start, start + words[-1].span.end)
