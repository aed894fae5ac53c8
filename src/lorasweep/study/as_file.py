"""A study as the text of a study file, every value that decides something written out."""

import json
from typing import Any

from lorasweep.study.study import Study


def as_file(study: Study) -> str:
    """Return TOML that Study.load reads as the same study."""
    tables = study.model_dump(mode="json", exclude_none=True)
    name, grid = tables.pop("name"), tables.pop("grid")
    sections = [_table(f"[{key}]", values) for key, values in tables.items() if values]
    grids = [_table("[[grid]]", values) for values in grid]
    return "\n".join([f"name = {_value(name)}\n", *sections, *grids])


def _table(head: str, values: dict[str, Any]) -> str:
    lines = [f"{_key(key)} = {_value(value)}" for key, value in values.items()]
    return "\n".join([head, *lines, ""])


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else _value(key)


def _value(value: Any) -> str:
    """Return a value as TOML has it, which is as JSON does but for one sign."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
