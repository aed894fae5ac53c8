"""A template of the user's own, and what a template adds where nobody asked for it."""

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from lorasweep.data.chat.overlap import shared_end
from lorasweep.data.chat.rendering import NotRenderedError, Renderer
from lorasweep.data.chat.thoughts import around_marks
from lorasweep.errors import UserError, nearest

_TURN, _SECOND = "\ue000", "\ue001"
_ROLE = re.compile(r"^\s*(system|developer)\b\s*", re.IGNORECASE)


def set_template(tokenizer: Any, file: Path) -> None:
    """Give a tokenizer the chat template of a file.

    Raises UserError for a file that is missing, no text, empty, or no Jinja (with the line).
    """
    template = _read(file)
    if not template.strip():
        raise UserError(f"model.chat_template: {file} is empty")
    previous, tokenizer.chat_template = tokenizer.chat_template, template
    try:
        Renderer(tokenizer).prompt([{"role": "user", "content": "Which?"}])
    except NotRenderedError as error:
        line = getattr(error.__cause__, "lineno", None)
        if line is not None:
            tokenizer.chat_template = previous
            raise UserError(
                f"model.chat_template: {file}, line {line}: not a Jinja template: {error.__cause__}"
            ) from None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        there = [other.name for other in file.parent.glob("*.jinja")]
        raise UserError(f"model.chat_template: no file {file}{nearest(file.name, there)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"model.chat_template: cannot read {file}: {error}") from None


def inserted_text(tokenizer: Any, template_args: Mapping[str, Any] | None = None) -> str:
    """Return the text that a template puts before a chat that has no system turn.

    Without marks and role around it; "" where it puts none there, or takes no user's turn.
    """
    render = Renderer(tokenizer, template_args or {})
    user = {"role": "user", "content": _TURN}
    try:
        alone = render.whole([user]).partition(_TURN)[0]
        later = render.whole(
            [user, {"role": "assistant", "content": "."}, {**user, "content": _SECOND}]
        )
    except NotRenderedError:
        return ""
    header = len(alone) - shared_end(alone, later.partition(_SECOND)[0])
    _, end = around_marks(alone, 0, header)
    return _less_marks(tokenizer, alone[:end])


def _less_marks(tokenizer: Any, text: str) -> str:
    special = [token.content for token in tokenizer.added_tokens_decoder.values()]
    marks = [re.escape(mark) for mark in sorted(special, key=len, reverse=True)]
    pieces = re.split("|".join([*marks, r"<[^<>\s]+>|\[/?[A-Z_]+\]"]), text)
    stripped = (_ROLE.sub("", piece).strip() for piece in pieces)
    return "\n".join(piece for piece in stripped if piece)


def changes_by_day(tokenizer: Any, template_args: Mapping[str, Any] | None = None) -> bool:
    """Say whether prompts are others on another day, because the template writes today's date."""
    days = (date(2001, 1, 1), date(2012, 12, 12))
    turn = [{"role": "user", "content": "Which?"}]
    try:
        first, second = (Renderer(tokenizer, template_args or {}, day).prompt(turn) for day in days)
    except NotRenderedError:
        return False
    return first != second
