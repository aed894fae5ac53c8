"""What is said of turns that cannot be encoded, with the advice that was tried and helps."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from lorasweep.data.chat.rendering import Message, NotRenderedError, Renderer
from lorasweep.data.chat.thoughts import OpenThought, WrittenThought
from lorasweep.data.chat.turns import LeftOutError, write_turn
from lorasweep.errors import UserError, quoted

# What templates call the switch of their thoughts.
_SWITCHES = ("enable_thinking", "thinking")
_TOOL = {
    "type": "function",
    "function": {
        "name": "find", "description": "Finds.",
        "parameters": {
            "type": "object", "required": ["what"],
            "properties": {"what": {"type": "string", "description": "What."}},
        },
    },
}  # fmt: skip
_OTHER = "leave such rows out, or give another template by model.chat_template"


def no_template() -> UserError:
    return UserError(
        "the base model's tokenizer has no chat template; choose a model that has one, or give it "
        'one: model.chat_template = "file.jinja"'
    )


def check_history(history: Sequence[Message]) -> None:
    """Raise UserError where an answer has no turn before it: no server is asked for nothing."""
    if not history:
        raise UserError(
            "an answer with no turn before it, which a chat template cannot ask for; begin with "
            'a user\'s turn, or do not learn this one ("train": 0)'
        )


def ends_within(lost: str, end: str) -> UserError:
    return UserError(
        f"the template's text of the answer has {end!r}, which ends generation, before or within "
        f"{quoted(lost)}: what is behind it would not be learned; take it out of the answer, "
        "or leave the row out"
    )


def call_left_out(name: str) -> UserError:
    return UserError(
        f"the chat template leaves the call of the tool {quoted(name)} out, so nothing of it would "
        f"be learned; {_OTHER}"
    )


def left_out(
    render: Renderer, history: Sequence[Message], turn: Message, tools: Sequence[Message]
) -> UserError:
    parts = _works(lambda: render.whole(_in_parts([*history, turn]), tools))
    return UserError(
        "the chat template leaves the text of the answer out; "
        + (_PARTS_ADVICE if parts else _OTHER)
    )


def not_rendered(
    render: Renderer, error: Exception, turns: Sequence[Message], tools: Sequence[Message]
) -> UserError:
    """Return the template's own message, and what was seen to help."""
    advice = next(_helping(render, str(error), turns, tools), _OTHER)
    return UserError(f"the chat template does not take these turns ({error}); {advice}")


_PARTS_ADVICE = (
    'it takes "content" as a list of parts, [{"type": "text", "text": ...}], not as a text: give a '
    "template for texts by model.chat_template"
)


def _helping(
    render: Renderer, told: str, turns: Sequence[Message], tools: Sequence[Message]
) -> Iterator[str]:
    """Yield advice after advice, each tried on these turns."""
    if _works(lambda: render.whole([turn for turn in turns if turn["role"] != "system"], tools)):
        yield "it takes no system turn here: leave that out, or put its text into the user's turn"
    if not tools and _works(lambda: render.whole(turns, [_TOOL])):
        yield 'it needs tools: rows with "tools", or the model\'s template without them'
    if _works(lambda: render.whole(_in_parts(turns), tools)):
        yield _PARTS_ADVICE
    if _works(lambda: render.whole(_joined(turns), tools)):
        yield "join turns of the same role that follow each other into one"
    first = next((i for i, turn in enumerate(turns) if turn["role"] == "user"), 0)
    if first and _works(lambda: render.whole(turns[first:], tools)):
        yield "begin with a user's turn"
    if missing := re.search(r"'(\w+)' is undefined", told):
        yield f"give it by data.template_args = {{{missing[1]} = ...}}, or {_OTHER}"


def _works(attempt: Callable[[], Any]) -> bool:
    try:
        attempt()
    except (NotRenderedError, LeftOutError):
        return False
    return True


def _in_parts(turns: Sequence[Message]) -> list[Message]:
    return [
        {**turn, "content": [{"type": "text", "text": turn["content"]}]}
        if isinstance(turn.get("content"), str)
        else turn
        for turn in turns
    ]


def _joined(turns: Sequence[Message]) -> list[Message]:
    joined: list[Message] = []
    for turn in turns:
        if joined and joined[-1]["role"] == turn["role"]:
            text = f"{joined[-1].get('content')}\n\n{turn.get('content')}"
            joined[-1] = {**joined[-1], "content": text}
        else:
            joined.append(turn)
    return joined


def thought_left_open(
    opened: OpenThought,
    render: Renderer,
    written: WrittenThought | None,
    history: Sequence[Message],
    turn: Message,
    tools: Sequence[Message],
) -> UserError:
    """Return that the answer would be learned inside a thought, and what was seen to help."""

    def closes(render: Renderer, turn: Message) -> bool:
        def attempt() -> None:
            if write_turn(render, history, turn, tools, written).opened is not None:
                raise LeftOutError

        return _works(attempt)

    switches = (
        f"data.template_args = {{{switch} = false}}"
        for switch in _SWITCHES
        if closes(replace(render, args={**render.args, switch: False}), turn)
    )
    thoughtful = (
        f"answers that bring their thought ({form})"
        for form, bringing in _with_a_thought(opened, written, turn)
        if closes(render, bringing)
    )
    ways = [way for way in (next(switches, ""), next(thoughtful, "")) if way]
    return UserError(
        f"the prompt opens a thought ({opened.mark!r}) that the answer never closes, so it would "
        f"be learned as a thought; what helps: {', or '.join(ways) or _OTHER}"
    )


def _with_a_thought(
    opened: OpenThought, written: WrittenThought | None, turn: Message
) -> Iterator[tuple[str, Message]]:
    """Yield ways in which a turn may bring its thought, in words and as a turn."""
    content = turn.get("content") or ""
    if written is not None:
        form = f'"{written.field}" beside "content"'
        yield form, {**turn, written.field: "So."}
    for closing in (
        opened.closing,
        opened.mark.replace("<", "</", 1),
        opened.mark.replace("[", "[/", 1),
    ):
        if closing and closing != opened.mark:
            form = f"{opened.mark}...{closing} before the answer"
            yield form, {**turn, "content": f"{opened.mark}\nSo.\n{closing}\n\n{content}"}
