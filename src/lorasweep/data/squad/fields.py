"""Fields as people write them: ids, titles, texts, flags come in; each goes out as one type.

Annotation tools and pandas write null or "" for what is not there, and numbers for ids and titles.
Messages name the value that was found.
"""

import math
from typing import Annotated, Any

from pydantic import BeforeValidator

from lorasweep.data.sources.json_text import shown

FLAGS = dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True) | dict.fromkeys(
    ("false", "f", "no", "n", "off", "0", ""), False
)


def checked_text(value: Any) -> str:
    """Return a text that has a form in UTF-8."""
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is not a text")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{shown(value)} holds half a character (a surrogate)") from None
    return value


def number_as_text(value: Any) -> str:
    """Return a text, or a whole number as one; other numbers may have been written otherwise."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        raise ValueError(
            f"{value} is a number, not a text (a table with empty cells makes such numbers of "
            "whole ones): write it as a text"
        )
    return checked_text(value)


def is_absent(value: Any) -> bool:
    """Say whether a field is there in name alone: null, or what pandas writes for it."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _question(value: Any) -> str:
    text = checked_text(value)
    if not text.strip():
        raise ValueError(f"{shown(text)} asks nothing")
    return text


def _name(value: Any) -> str:
    text = str(value) if type(value) in (int, float) else checked_text(value)
    if not text.strip():
        raise ValueError(f"{shown(text)} is empty")
    return text


def _name_or_none(value: Any) -> str | None:
    return None if is_absent(value) else _name(value)


def _title(value: Any) -> str | None:
    return None if value == "" else _name_or_none(value)


def _flag(value: Any) -> bool:
    if is_absent(value):
        return False
    word = str(value).strip().lower().removesuffix(".0")
    if word not in FLAGS:
        raise ValueError(f"{shown(value)} is neither true nor false")
    return FLAGS[word]


Text = Annotated[str, BeforeValidator(checked_text)]
QuestionText = Annotated[str, BeforeValidator(_question)]
Id = Annotated[str, BeforeValidator(_name)]
OptionalId = Annotated[str | None, BeforeValidator(_name_or_none)]
Title = Annotated[str | None, BeforeValidator(_title)]
Flag = Annotated[bool, BeforeValidator(_flag)]
