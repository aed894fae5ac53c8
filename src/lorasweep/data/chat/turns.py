"""A turn as its template writes it: the prompt, what is learned behind it, and what closes that.

P is the prompt that a server sends, F the turns with the answer, and F' the same with a mark of
ours for an answer: what F and F' share before and behind that mark is the template's, the rest is
the turn's own, however the template trims, splits or escapes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lorasweep.data.chat.overlap import shared_end, shared_start
from lorasweep.data.chat.rendering import Message, NotRenderedError, Renderer
from lorasweep.data.chat.thoughts import (
    FIELDS,
    OpenThought,
    WrittenThought,
    around_marks,
    closes_a_thought,
    open_thought,
    start_of_thought,
)

# Private use characters: the first that a text does not hold stands for an answer.
_MARKS = [chr(code) for code in range(0xE010, 0xE100)]
# Of a prompt whose end nothing else shows: characters that a generation prompt takes.
_LAST_WORDS = 60


@dataclass(frozen=True, slots=True)
class WrittenTurn:
    """A turn as text.

    `body` is learned behind `prompt`; `closing` is what the template has behind it. `kept` is the
    part of the body that is the turn's own, spaces at its ends included. `opened` is a thought that
    the prompt opens and the body never closes.
    """

    prompt: str
    body: str
    closing: str
    kept: str
    follows: bool
    opened: OpenThought | None = None


class LeftOutError(Exception):
    """A template that does not write the text of a turn."""


def write_turn(
    render: Renderer,
    history: Sequence[Message],
    turn: Message,
    tools: Sequence[Message],
    written: WrittenThought | None,
) -> WrittenTurn:
    """Render a turn behind its history.

    Raises NotRenderedError where the template fails, LeftOutError where it leaves the answer out.
    """
    prompt = render.prompt(history, tools)
    whole = render.whole([*history, turn], tools)
    start, end = _own_part(render, history, turn, tools, whole)
    opened = open_thought(prompt, lambda: _asked(render, history, tools, prompt), written)
    kept = whole[start:end]
    if whole.startswith(prompt):
        body = whole[len(prompt) : max(end, len(prompt))]
        closing = whole[len(prompt) + len(body) :]
        still = None if opened is None or opened.closed_by(body) else opened
        return WrittenTurn(prompt, body, closing, kept, True, still)
    body = whole[_whole_thought(whole, start, end) : end]
    if opened is not None:
        body, opened = _behind_an_open_thought(prompt, opened, body, turn)
    return WrittenTurn(prompt, body, whole[end:], kept, False, opened)


def _own_part(
    render: Renderer,
    history: Sequence[Message],
    turn: Message,
    tools: Sequence[Message],
    whole: str,
) -> tuple[int, int]:
    """Return where the turn's own text begins and ends in F."""
    mark = next(mark for mark in _MARKS if mark not in whole)
    marked = render.whole([*history, {"role": turn["role"], "content": mark}], tools)
    if mark not in marked:
        raise LeftOutError
    start = shared_start(whole, marked)
    end = max(start, len(whole) - shared_end(whole, marked))
    return (start, end) if _is_plain(turn) else around_marks(whole, start, end)


def _is_plain(turn: Message) -> bool:
    """Say whether nothing but the content makes F differ from F', so that no mark is cut."""
    content = turn.get("content")
    plain = isinstance(content, str) and not closes_a_thought(content)
    return plain and not any(turn.get(name) for name in ("tool_calls", *FIELDS))


def _asked(
    render: Renderer, history: Sequence[Message], tools: Sequence[Message], prompt: str
) -> str:
    """Return what a prompt has behind its turns: the generation prompt."""
    try:
        without = render.whole(history, tools)
    except NotRenderedError:  # a template may not end in a turn of a user
        return prompt[-_LAST_WORDS:]
    return prompt[shared_start(prompt, without) :]


def _whole_thought(whole: str, start: int, end: int) -> int:
    """Return where the body begins: before the mark of a thought that closes within it."""
    return start_of_thought(whole, start) if closes_a_thought(whole[start:end]) else start


def _behind_an_open_thought(
    prompt: str, opened: OpenThought, body: str, turn: Message
) -> tuple[str, OpenThought | None]:
    """Return what stands behind a prompt that has opened the turn's thought, and what stays open.

    A template may drop a thought from F that the turn's own text brings; then that text is learned.
    """
    content = turn.get("content")
    for text in (body, content if isinstance(content, str) else ""):
        if opened.closed_by(text):
            return _less_opening(prompt, opened.mark, text), None
    return body, opened


def _less_opening(prompt: str, mark: str, text: str) -> str:
    """Return a text without the mark, and spaces around it, that the prompt ends in as well."""
    longest = min(len(prompt), len(text))
    shared = next((n for n in range(longest, 0, -1) if prompt.endswith(text[:n])), 0)
    if mark in text[:shared]:
        return text[shared:]
    bare = text.lstrip()
    return bare.removeprefix(mark) if bare.startswith(mark) else text
