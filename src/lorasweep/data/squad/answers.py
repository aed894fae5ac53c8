"""Answers as people write them: texts, lists, SQuAD's objects come in; texts with starts go out."""

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

from lorasweep.data.sources.json_text import shown
from lorasweep.data.squad.fields import is_absent, number_as_text

# A text and its start, None where it is to be looked for.
Written = tuple[str, int | None]
# A list or an object that was written as text: it begins with a text, is empty, or has our keys.
PACKED = re.compile(
    r"""\s*(\[\s*['"]|\[\s*\]\s*$|[\[{].*['"](text|answer_start)['"]\s*:)""", re.DOTALL
)


def read_answers(value: Any, context: str) -> list[Written]:
    """Return the answers of a question, none for null.

    They are a text, a whole number, a list of such or of objects {text, answer_start} or of pairs
    [answer_start, text], or one object whose text and answer_start are lists or single. Any of
    these may stand in a text, as tables have it. Raises ValueError that names what is none of them.
    """
    if isinstance(value, str) and _is_packed(value, context):
        value = _unpacked(value)
    written = list(_written(value))
    for text, _ in written:
        if _is_packed(text, context):
            raise ValueError(_looks_packed(text))
    return written


def _written(value: Any) -> Iterator[Written]:
    if is_absent(value):
        return
    if isinstance(value, dict):
        yield from _of_object(value, "answers")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            where = f"answers[{number}]"
            if isinstance(each, dict):
                yield from _of_object(each, where)
            elif _is_pair(each):
                yield _text(each[1], where), each[0]
            else:
                yield _text(each, where), None
    else:
        yield _text(value, "answers"), None


def _of_object(value: dict[str, Any], where: str) -> Iterator[Written]:
    """Yield the answers of {text, answer_start}, as SQuAD's files or the Hub's rows have them."""
    if "text" not in value:
        raise ValueError(f"{where}: 'text' is missing (found: {', '.join(value) or 'nothing'})")
    texts, starts = _listed(value["text"]), value.get("answer_start")
    # pandas writes one null for a list that is not there
    starts = [None] * len(texts) if is_absent(starts) else _listed(starts)
    if len(texts) != len(starts):
        raise ValueError(f"{where}: {len(texts)} text but {len(starts)} answer_start")
    for text, start in zip(texts, starts, strict=True):
        yield _text(text, f"{where}.text"), _start(start, f"{where}.answer_start")


def _is_pair(value: Any) -> bool:
    """Say whether a value is a start and a text, as ParsiNLU writes them."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and type(value[0]) is int
        and isinstance(value[1], str)
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any, where: str) -> str:
    try:
        text = number_as_text(value)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if not text.strip():
        raise ValueError("an answer is empty; no answer at all is an empty list")
    return text


def _start(value: Any, where: str) -> int | None:
    """Return an offset; as texts and as floats they come from tables."""
    if is_absent(value) or value == "":
        return None
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,18}\s*", value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{where}: {shown(value)} is not a whole number")
    return value


def _is_packed(text: str, context: str) -> bool:
    """Say whether a text is a list or an object; what stands in its context is a text."""
    return bool(PACKED.match(text)) and text not in context


def _looks_packed(text: str) -> str:
    return (
        f"{shown(text)} looks like an object or a list that was written as text, and cannot be "
        "read as one; write lists as JSON, or each answer as a text"
    )


def _unpacked(text: str) -> Any:
    """Return what a text holds that is a list or an object written as text."""
    value = _literal(text)
    if value is None:
        raise ValueError(_looks_packed(text))
    return value


def _literal(text: str) -> Any:
    """Return the value of a text in JSON or as Python writes it, None where it is neither."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    # numpy leaves out commas, and Python would join the texts
    return value if re.sub(r"\s", "", repr(value)) == re.sub(r"\s", "", text) else None
