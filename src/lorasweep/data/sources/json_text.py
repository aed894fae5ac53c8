"""JSON as people write it: text comes in; values go out, and no key is lost without a word."""

import json
from typing import Any

from lorasweep.errors import UserError

LONGEST_VALUE = 60


def decode_json(text: str, place: str) -> Any:
    """Return the value of a JSON text.

    Raises ValueError where it is no JSON, and UserError where an object has a key twice, of which
    json itself would silently keep the last.
    """
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _object(place, pairs))
    except RecursionError:
        raise ValueError("lists or objects are nested too deeply") from None


def shown(value: Any) -> str:
    """Return a value as JSON writes it, in one line of bounded length that a terminal can show."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


def _object(place: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) == len(pairs):
        return values
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise UserError(f"{place}: {key!r} occurs twice")
        seen.add(key)
    raise AssertionError("fewer keys than pairs")
