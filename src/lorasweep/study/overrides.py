"""Change single values of a decoded study: `--set section.key=value`."""

import tomllib
from collections.abc import Sequence
from typing import Any

from lorasweep.errors import UserError


def apply_override(tables: dict[str, Any], override: str) -> None:
    """Set one `section.key=value` in decoded tables; the value is TOML, or else a plain string."""
    key, equals, text = override.partition("=")
    *sections, last = key.strip().split(".")
    if not equals or not all((*sections, last)):
        raise UserError(f"--set {override}: expected section.key=value")
    table: Any = tables
    for section in sections:
        table = _enter(table, section, override)
    if isinstance(table, list):
        table = _only(table, override)
    table[last] = _value(text)


def _enter(table: Any, section: str, override: str) -> Any:
    if isinstance(table, list):
        if section.isdecimal():
            return _numbered(table, int(section), override)
        table = _only(table, override)
    entered = table.setdefault(section, {})
    if not isinstance(entered, dict) and not _are_tables(entered):
        raise UserError(f"--set {override}: {section!r} is a value, not a table")
    return entered


def _are_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def _numbered(tables: Sequence[Any], number: int, override: str) -> Any:
    if number >= len(tables):
        raise UserError(_which(tables, override))
    return tables[number]


def _only(tables: Sequence[Any], override: str) -> Any:
    if len(tables) != 1:
        raise UserError(_which(tables, override))
    return tables[0]


def _which(tables: Sequence[Any], override: str) -> str:
    if len(tables) == 1:
        return f"--set {override}: there is one [[grid]] table: grid.key, or grid.0.key"
    return (
        f"--set {override}: there are {len(tables)} [[grid]] tables; "
        f"say which: grid.0.key to grid.{len(tables) - 1}.key"
    )


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
