"""What is wrong with a study file, in words: errors of the schema come in, a line each goes out."""

import re
from collections.abc import Iterator
from datetime import date, time
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from lorasweep.errors import nearest, quoted
from lorasweep.study.data_section import Data
from lorasweep.study.grid import Grid
from lorasweep.study.sections import (
    MOST,
    Evaluate,
    Model,
    Pack,
    Race,
    Recipe,
    Report,
    Section,
)
from lorasweep.study.synonyms import SYNONYMS

SECTIONS: dict[str, type[Section]] = {
    "model": Model, "data": Data, "recipe": Recipe, "pack": Pack, "race": Race, "grid": Grid,
    "evaluate": Evaluate, "report": Report,
}  # fmt: skip
NUMBER = re.compile(r"[+-]?[\d_]+(\.\d+)?([eE][+-]?\d+)?")


def explain(error: ErrorDetails, place: str, study: type[Section]) -> str:
    """Return one line for one schema error: the place, the value, and what is expected there."""
    loc = error["loc"]
    where = ".".join(str(part) for part in loc)
    if error["type"] == "extra_forbidden":
        return f"{place}: unknown key {shown(where)}{_meant(loc, study)}"
    if error["type"] == "missing":
        return f"{place}: {where!r} is missing"
    expected = _field(loc, study).description
    if error["type"] == "value_error":
        said = error["msg"].removeprefix("Value error, ")
    elif error["type"] == "too_short":
        said = f"expected at least one value: {expected}"
    else:
        said = f"expected {expected}{_bound(error)}{_hint(error['input'], loc, study)}"
    return f"{place}: {where}{_equals(error['input'])}: {said}"


def shown(value: Any) -> str:
    """Return a decoded value much as TOML writes it, in one line of bounded length."""
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date | time) else quoted(value)


def _equals(value: Any) -> str:
    """Return " = VALUE"; a whole table is not repeated."""
    return "" if isinstance(value, dict) and value else f" = {shown(value)}"


def _field(loc: tuple[int | str, ...], study: type[Section]) -> FieldInfo:
    """Return the field of the schema that a place lies in; what it says holds for its items too."""
    first, *rest = loc
    below = [part for part in rest if isinstance(part, str)]
    section = SECTIONS.get(str(first))
    if section and below:
        return section.model_fields[below[0]]
    return study.model_fields[str(first)]


def _hint(value: Any, loc: tuple[int | str, ...], study: type[Section]) -> str:
    if not isinstance(value, str):
        return ""
    if loc == ("name",):
        return f'; such as "{_file_name(value)}"'
    if options := re.findall(r'"([\w-]+)"', _field(loc, study).description or ""):
        hint = nearest(value, options)
        return hint if "?" in hint else ""
    if NUMBER.fullmatch(value):
        return "; a number stands without quotes"
    return "; several values are a list, such as [1, 2]" if "," in value and "grid" in loc else ""


def _bound(error: ErrorDetails) -> str:
    """Return the bound that no description names: that of numbers which files can hold."""
    most = error.get("ctx", {}).get("lt", 0)
    return f" and below {most:,}" if error["type"] == "less_than" and most >= MOST else ""


def _file_name(name: str) -> str:
    """Return the nearest name that a study may have."""
    return re.sub(r"[^\w.-]+", "-", name).strip(".-")[:40] or "my-study"


def _meant(loc: tuple[int | str, ...], study: type[Section]) -> str:
    """Return what an unknown key is called here, where it belongs, or the nearest that is known."""
    *parents, key = (part for part in loc if isinstance(part, str))
    known = list((SECTIONS[parents[0]] if parents else study).model_fields)
    if other := SYNONYMS.get(key.lower().replace("-", "_")):
        return f"; here that is {_placed(other)}"
    if homes := list(_homes(key)):
        return f"; it belongs to {' or '.join(homes)}"
    return nearest(key, known)


def _placed(name: str) -> str:
    """Return "lr in [[grid]]" for "grid.lr"; what is no key stays as it is."""
    section, _, key = name.partition(".")
    return f"{key} in {_head(section)}" if section in SECTIONS else name


def _head(section: str) -> str:
    return "[[grid]]" if section == "grid" else f"[{section}]"


def _homes(key: str) -> Iterator[str]:
    """Yield the tables that have a key."""
    for name, section in SECTIONS.items():
        if key in section.model_fields:
            yield _head(name)
