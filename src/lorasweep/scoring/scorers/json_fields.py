"""The scorer `json`: whether an answer parses, and what share of its fields are right."""

import json
import re
from collections.abc import Iterator
from typing import Any

from lorasweep.scoring.scorers.scorer import Scorer, best_of, scorer_of

FENCED = re.compile(r"\s*```(?:json)?\s*\n(.*)\n\s*```\s*", re.DOTALL)
Path = tuple[str | int, ...]


class NotJsonError(Exception):
    """A text that is no JSON."""


def json_fields() -> Scorer:
    """Return the scorer of the fields that are equal, out of all fields of either side.

    A field is a value that is no object or list, or an empty one, by its path; items of a list go
    by their place. An answer that does not parse has 0; a fence of Markdown around it is taken off.
    A reference that does not parse is compared as it stands.
    """
    return scorer_of("json", best_of(_share_of_equal_fields))


def _share_of_equal_fields(answer: str, reference: str) -> float:
    try:
        expected = _fields(reference)
    except NotJsonError:
        return float(answer.strip() == reference.strip())
    try:
        found = _fields(answer)
    except NotJsonError:
        return 0.0
    equal = sum(path in found and _is_equal(found[path], value) for path, value in expected.items())
    return equal / len(found.keys() | expected.keys())


def _fields(text: str) -> dict[Path, Any]:
    fenced = FENCED.fullmatch(text)
    try:
        value = json.loads(fenced[1] if fenced else text, parse_constant=_refuse)
        return dict(_leaves((), value))
    except (ValueError, RecursionError):
        raise NotJsonError from None


def _leaves(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _leaves((*path, key), each)
    elif isinstance(value, list) and value:
        for number, each in enumerate(value):
            yield from _leaves((*path, number), each)
    else:
        yield path, value


def _is_equal(one: Any, other: Any) -> bool:
    """Say whether two values are equal in JSON, where true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _refuse(constant: str) -> None:
    raise ValueError(constant)
