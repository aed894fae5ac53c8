"""Thoughts in a template: whether a prompt opens one, and what closes it.

A template is asked first: it renders a turn with a thought beside its answer, and what stands
before, between and behind them is how it writes thoughts. Templates that drop thoughts say nothing
that way; there the words of their marks tell.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from lorasweep.data.chat.rendering import Message, NotRenderedError, Renderer

# Where a turn may carry its thought beside its content.
FIELDS = ("reasoning_content", "reasoning", "thinking", "thought")
ASKED, THOUGHT, ANSWER = "\ue000", "\ue001", "\ue002"
# A prompt's last characters, in which what it opens shows.
_TAIL = 300

_WORD = re.compile(r"think|thought|reason|reflect|思考", re.IGNORECASE)
_MARK = re.compile(r"[<\[◁][^<>\[\]◁▷\n]{1,60}[>\]▷]")
_CLOSING = re.compile(r"^.\|?/|^<[^|][^>]*\|>$|(?<![a-z])end(?![a-z])|suffix", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class WrittenThought:
    """How a template writes the thought of a turn: what opens and what closes it.

    `opening` stands behind a user's text; it is empty where an answer without a thought begins in
    the same way. `field` is the turn's own that carries it.
    """

    opening: str
    closing: str
    field: str


def written_thought(render: Renderer) -> WrittenThought | None:
    """Return how the template writes a thought beside an answer, None where it drops it."""
    plain = _rendered(render, {}).partition(ASKED)[2].partition(ANSWER)[0]
    for name in FIELDS:
        text = _rendered(render, {name: THOUGHT})
        before, found, behind = text.partition(ASKED)[2].partition(THOUGHT)
        closing, answered, _ = behind.partition(ANSWER)
        if found and answered and closing.strip():
            opening = "" if before.strip() == plain.strip() else before.rstrip()
            return WrittenThought(opening, closing.strip(), name)
    return None


def _rendered(render: Renderer, thought: Message) -> str:
    turns = [
        {"role": "user", "content": ASKED},
        {"role": "assistant", "content": ANSWER, **thought},
    ]
    try:
        return render.whole(turns)
    except NotRenderedError:
        return ""


@dataclass(frozen=True, slots=True)
class OpenThought:
    """A thought that a prompt leaves open: its mark, and what the template closes it by.

    Without `closing` any mark that closes a thought does.
    """

    mark: str
    closing: str

    def closed_by(self, text: str) -> bool:
        """Say whether an answer closes it."""
        return self.closing in text if self.closing else closes_a_thought(text)


def open_thought(
    prompt: str, asks: Callable[[], str], written: WrittenThought | None
) -> OpenThought | None:
    """Return the thought that a prompt leaves open.

    `asks` gives what the prompt has behind its turns; it is called where that may be a thought.
    """
    closing = written.closing if written else ""
    if written and written.opening and prompt.rstrip().endswith(written.opening):
        marks = _MARK.findall(written.opening)
        return OpenThought(marks[-1] if marks else written.opening.split("\n")[-1], closing)
    mark = _mark_left_open(asks()) if _WORD.search(prompt[-_TAIL:]) else None
    return None if mark is None else OpenThought(mark, closing)


def _mark_left_open(asked: str) -> str | None:
    """Return what opens a thought in a prompt's last words: a mark, or the line that says so."""
    words = list(_WORD.finditer(asked))
    if not words:
        return None
    place = words[-1].start()
    marks = [mark for mark in _MARK.finditer(asked) if mark.end() > place]
    if any(_CLOSING.search(mark.group()) for mark in marks):
        return None
    if marks and marks[0].start() < place:
        return marks[0].group()
    return asked.strip().splitlines()[-1]


def closes_a_thought(text: str) -> bool:
    """Say whether a text has a mark that closes a thought, as </think> does."""
    return any(_WORD.search(m.group()) and _CLOSING.search(m.group()) for m in _MARK.finditer(text))


def around_marks(text: str, start: int, end: int) -> tuple[int, int]:
    """Return a stretch of a text with both places moved out of marks, to where these begin."""
    spans = [mark.span() for mark in _MARK.finditer(text, max(0, start - _TAIL))]
    left, right = (
        next((first for first, last in spans if first < place < last), place)
        for place in (start, end)
    )
    return left, right


def start_of_thought(text: str, place: int) -> int:
    """Return where the mark begins that opens a thought right before a place, else the place."""
    marks = [m for m in _MARK.finditer(text, 0, place) if _WORD.search(m.group())]
    if not marks or _CLOSING.search(marks[-1].group()) or text[marks[-1].end() : place].strip():
        return place
    return marks[-1].start()
