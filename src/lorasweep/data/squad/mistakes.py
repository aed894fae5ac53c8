"""What is wrong with data, in words: a schema's error and the value come in; one line goes out."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from pydantic_core import ErrorDetails

from lorasweep.data.sources.json_text import shown

MOST_KEYS = 8
# What others call our keys, beside names that are nearly ours.
OTHER_NAMES = {
    "context": ("passage", "paragraph", "document", "article", "text", "story"),
    "question": ("query", "prompt", "ask"),
    "answers": ("answer_text", "label", "completion", "output", "response", "target"),
    "paragraphs": ("contexts", "passages"),
    "qas": ("questions", "qa"),
    "id": ("qid", "question_id", "_id", "uid"),
}
PURPOSE = "lorasweep trains on questions about a text (docs/data.md has the forms)"


def explain(error: ErrorDetails, value: Any) -> str:
    """Return one line for one schema error of a value: where, what stands there, what should."""
    path, found = _path(error["loc"]), error["input"]
    if error["type"] == "missing":
        *parents, key = error["loc"]
        if key == "data" and is_predictions(value):
            return (
                f"'data' is missing: {len(value):,} predictions, {{id: answer}}, and no questions"
            )
        return f"{_path(parents)}{key!r} is missing (found: {_keys(found)}){_hint(str(key), found)}"
    if error["type"] == "value_error":
        return f"{path}{error['msg'].removeprefix('Value error, ')}"
    kind = "a list" if error["type"] == "list_type" else "an object"
    return f"{path}{shown(found)} stands where {kind} is expected"


def is_predictions(value: Any) -> bool:
    """Say whether a value is a file of predictions, {id: answer}."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(answer, str) for answer in value.values())
    )


def refuse_near_flag(question: Mapping[str, Any]) -> None:
    """Raise ValueError for a key that is nearly is_impossible, which decides what is trained on."""
    for key in question:
        if key != "is_impossible" and _is_near_flag(key):
            raise ValueError(f"unknown key {key!r}; did you mean 'is_impossible'?")


@cache
def _is_near_flag(key: Any) -> bool:
    return bool(get_close_matches(str(key).lower(), ["is_impossible"], cutoff=0.85))


def _keys(found: Iterable[Any]) -> str:
    names = [shown(str(key)[:40])[1:-1] for key in found]
    shown_names = ", ".join(names[:MOST_KEYS]) or "nothing"
    more = len(names) - MOST_KEYS
    return f"{shown_names} and {more:,} more" if more > 0 else shown_names


def _hint(key: str, found: Iterable[Any]) -> str:
    names = [name for name in map(str, found) if name.isprintable()]
    lowered = {name.lower(): name for name in names}
    usual = [lowered[name] for name in OTHER_NAMES.get(key, ()) if name in lowered]
    near = [lowered[name] for name in get_close_matches(key, lowered, n=1, cutoff=0.7)]
    if "data" in names and key == "context":
        return "; SQuAD's nested form is a file of its own, not a line: call it .json"
    if near or usual:
        return f"; did you mean {key!r} by {(near + usual)[0]!r}?"
    return f"; {PURPOSE}"


def _path(keys: Iterable[int | str]) -> str:
    path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return f"{path.removeprefix('.')}: " if path else ""
