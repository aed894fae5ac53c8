"""A tokenizer's chat template, applied as a server applies it."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any

# A turn as templates read it: "role", "content", and maybe "tool_calls" and the like; plain JSON.
Message = Mapping[str, Any]


_TODAY = re.compile(r"""strftime_now\(\s*(['"])(.*?)\1\s*\)""")


class NotRenderedError(Exception):
    """A template that does not take these turns; the text is the template's own."""


@dataclass(frozen=True)
class Renderer:
    """Makes one text of turns.

    `args` are handed to the template. `day` is what a template that writes today's date takes for
    today: None is today, as on a server; a day that is kept gives the same text on another one.
    """

    tokenizer: Any
    args: Mapping[str, Any] = field(default_factory=dict)
    day: date | None = None

    def prompt(self, history: Sequence[Message], tools: Sequence[Message] = ()) -> str:
        """Return what a server sends for the turn behind the history: P."""
        return self._text(history, tools, answered=False)

    def whole(self, turns: Sequence[Message], tools: Sequence[Message] = ()) -> str:
        """Return the turns without asking for another: F."""
        return self._text(turns, tools, answered=True)

    def _text(self, turns: Sequence[Message], tools: Sequence[Message], answered: bool) -> str:
        """Render, with the arguments of tool calls as objects, or as JSON where these fail.

        Servers hand objects over (calls come to them with JSON texts); some templates join them to
        texts, and fail.
        """
        try:
            return self._apply(_with_arguments(turns, as_text=False), tools, answered)
        except NotRenderedError as error:
            if not any(turn.get("tool_calls") for turn in turns):
                raise
            try:
                return self._apply(_with_arguments(turns, as_text=True), tools, answered)
            except NotRenderedError:
                raise error from None

    def _apply(self, turns: Sequence[Message], tools: Sequence[Message], answered: bool) -> str:
        given = [dict(tool) for tool in tools] or None
        try:
            template = self.tokenizer.get_chat_template(None, given)
            text = self.tokenizer.apply_chat_template(
                list(turns), tools=given, tokenize=False, add_generation_prompt=not answered,
                chat_template=template if self.day is None else _on_day(template, self.day),
                **self.args,
            )  # fmt: skip
        except Exception as error:  # a template is a program: it fails in any way
            raise NotRenderedError(_reason(error)) from error
        return str(text)


@lru_cache
def _on_day(template: str, day: date) -> str:
    """Return a template with a date where it asks for today's."""
    return _TODAY.sub(lambda asked: repr(day.strftime(asked[2])), template)


def _reason(error: Exception) -> str:
    """Return a template's own words; what its code ran into comes with the error's name."""
    told = " ".join(str(error).split())
    return told if type(error).__name__ == "TemplateError" else f"{type(error).__name__}: {told}"


def _with_arguments(turns: Iterable[Message], as_text: bool) -> list[Message]:
    change = _as_text if as_text else _as_object
    return [
        {**turn, "tool_calls": [_changed(call, change) for call in turn["tool_calls"]]}
        if turn.get("tool_calls")
        else turn
        for turn in turns
    ]


def _changed(call: Mapping[str, Any], change: Any) -> Mapping[str, Any]:
    if isinstance(call.get("function"), Mapping):
        return {**call, "function": _changed(call["function"], change)}
    return {**call, "arguments": change(call["arguments"])} if "arguments" in call else call


def _as_object(arguments: Any) -> Any:
    try:
        return json.loads(arguments) if isinstance(arguments, str) else arguments
    except json.JSONDecodeError:
        return arguments


def _as_text(arguments: Any) -> str:
    if isinstance(arguments, str):
        return arguments
    return json.dumps(arguments, ensure_ascii=False)
