"""Greedy decoding held to spans of the context, by characters and not by the context's tokens.

What is said so far, without its leading space, begins a piece of one line of the context that
starts at a word's start; the end token is allowed where it stops at a word's end and holds a word.
A border of words is anywhere but between two characters of one word (letters, digits, marks and
"_"). Signs that open a word belong to it, such as "$" or "(": those with white space before them.

Shapes: M slots that have not stopped, V tokens of the vocabulary.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lorasweep.answering.decode.answers import Answer
from lorasweep.answering.decode.rows import GrowingRows
from lorasweep.answering.decode.token_bytes import token_bytes
from lorasweep.model.base import Base

SPACE = b" "


class Vocabulary:
    """The tokens that may be part of a span, by their bytes."""

    def __init__(self, base: Base) -> None:
        self.bytes_of = token_bytes(base.tokenizer)
        self.end_id = base.end_id
        self.tokens_of: dict[bytes, list[int]] = {}
        for token, text in self.bytes_of.items():
            # A line break stops an answer, so no span goes over one.
            if text and b"\n" not in text:
                self.tokens_of.setdefault(text, []).append(token)
        self.longest = max(map(len, self.tokens_of))


class Spans:
    """The pieces of a context: its lines as bytes, and where words start and end."""

    def __init__(self, context: str) -> None:
        # White space at a line's end is no word's end, and nothing behind it can be.
        text = "\n".join(line.rstrip() for line in context.split("\n"))
        self.text = text.encode()
        offsets = [0]
        for character in text:
            offsets.append(offsets[-1] + len(character.encode()))
        ends = (i for i in range(1, len(text) + 1) if not text[i - 1].isspace())
        self.starts = tuple(offsets[i] for i in _starts(text))
        self.ends = frozenset(offsets[i] for i in ends if _is_border(text, i))


@dataclass(frozen=True, slots=True)
class Said:
    """What a slot has said, and the places in its context where what follows may stand."""

    text: bytes
    places: tuple[int, ...]


class SpanChooser:
    """Chooses the likeliest allowed token of every slot, and remembers what each has said."""

    def __init__(
        self, rows: GrowingRows, vocabulary: Vocabulary, contexts: Mapping[str, str]
    ) -> None:
        self.vocabulary = vocabulary
        spans = {tree.id: Spans(contexts[tree.branches[0].question_id]) for tree in rows.trees}
        self.spans = [spans[tree.id] for tree in rows.trees]
        self.first = [allowed(vocabulary, s, Said(b"", s.starts)) for s in self.spans]
        self.said: dict[tuple[int, ...], Said] = {}

    def __call__(self, logits: Tensor, slots: Tensor, step: int) -> Tensor:
        """Choose tokens [M] by logits [M, V] of the slots [M, 3]."""
        chosen = [
            self._choose(tuple(slot), scores_V, step)
            for slot, scores_V in zip(slots.tolist(), logits.cpu(), strict=True)
        ]
        return torch.tensor(chosen, device=logits.device)

    def _choose(self, slot: tuple[int, ...], scores_V: Tensor, step: int) -> int:
        spans = self.spans[slot[1]]
        said = self.said[slot] if step else Said(b"", spans.starts)
        tokens = allowed(self.vocabulary, spans, said) if step else self.first[slot[1]]
        if not tokens:
            return self.vocabulary.end_id
        token = tokens[int(scores_V[tokens].argmax())]
        if token != self.vocabulary.end_id:
            self.said[slot] = say(self.vocabulary, spans, said, token)
        return token


def allowed(vocabulary: Vocabulary, spans: Spans, said: Said) -> list[int]:
    """Return the tokens that may follow, in ascending order.

    They are looked up by the pieces that may follow, which are few, and never by going through
    the vocabulary; a vocabulary that cannot spell the context may leave none.
    """
    found: set[int] = set()
    for text in _followers(vocabulary.longest, spans, said):
        found.update(vocabulary.tokens_of.get(text, ()))
    found.discard(vocabulary.end_id)
    if not spans.ends.isdisjoint(said.places) and _holds_a_word(said.text.decode()):
        found.add(vocabulary.end_id)
    return sorted(found)


def say(vocabulary: Vocabulary, spans: Spans, said: Said, token: int) -> Said:
    """Return what is said with one more token, and where it may stand."""
    text = vocabulary.bytes_of[token]
    piece = text if said.text else text.removeprefix(SPACE)
    places = (p + len(piece) for p in said.places if spans.text.startswith(piece, p))
    return Said(said.text + text, tuple(places))


def _followers(longest: int, spans: Spans, said: Said) -> Iterable[bytes]:
    """Yield the texts that a next token may have."""
    if not said.text:
        yield SPACE
    for place in said.places:
        line_end = spans.text.find(b"\n", place)
        last = min(place + longest, len(spans.text) if line_end < 0 else line_end)
        for end in range(place + 1, last + 1):
            yield spans.text[place:end]
            if not said.text:
                yield SPACE + spans.text[place:end]


def at_words_end(answer: Answer, context: str) -> Answer:
    """Return an answer that the allowance cut short without its unfinished last word."""
    if answer.ended:
        return answer
    # Half a character is decoded as the mark of what cannot be read.
    spans, text = Spans(context), answer.text.rstrip("\ufffd").encode()
    starts = [start for start in spans.starts if spans.text.startswith(text, start)]
    whole = [e - s for s in starts for e in spans.ends if s < e <= s + len(text)]
    kept = text[: max(whole, default=0)].decode()
    return replace(answer, text=kept if _holds_a_word(kept) else "")


def _starts(text: str) -> Iterator[int]:
    """Yield where words start, with the signs that open them, if their line has a word there."""
    begin = 0
    for line in text.split("\n"):
        words = [i for i, character in enumerate(line) if _is_of_a_word(character)]
        opens = True
        for i in range(words[-1] + 1 if words else 0):
            is_space, is_word = line[i].isspace(), _is_of_a_word(line[i])
            if not is_space and (is_word or opens) and _is_border(line, i):
                yield begin + i
            opens = is_space or (opens and not is_word)
        begin += len(line) + 1


def _is_border(text: str, place: int) -> bool:
    """Say whether a place is not inside a word."""
    if place in (0, len(text)):
        return True
    return not (_is_of_a_word(text[place - 1]) and _is_of_a_word(text[place]))


def _holds_a_word(text: str) -> bool:
    return any(map(_is_of_a_word, text))


def _is_of_a_word(character: str) -> bool:
    return character.isalnum() or character == "_" or unicodedata.category(character)[0] == "M"
