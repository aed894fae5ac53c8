"""Prediction files of any system, in SQuAD's form: files come in; answers by question go out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorasweep.data.sources.json_text import decode_json
from lorasweep.errors import UserError, nearest


@dataclass(frozen=True)
class Predictions:
    """One system's answers by question id; `name` is what messages call the system."""

    name: str
    answers: Mapping[str, str]


def read_predictions(path: Path) -> dict[str, str]:
    """Read SQuAD's {id: answer}; UserError names the file and the id that is wrong."""
    values = _read_json(path)
    if not isinstance(values, dict):
        raise UserError(f"{path}: predictions are one object {{id: answer}}, not {_kind(values)}")
    if not values:
        raise UserError(f"{path}: no predictions")
    for key, answer in values.items():
        if not isinstance(answer, str):
            raise UserError(f"{path}: the answer of {key!r} is {_kind(answer)}, not a string")
    return values


def _read_json(path: Path) -> Any:
    try:
        return decode_json(path.read_text(encoding="utf-8-sig"), str(path))
    except FileNotFoundError:
        raise UserError(f"no file {path}{_nearest_file(path)}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file in UTF-8") from None
    except ValueError as error:
        raise UserError(f"{path}: not JSON: {error}") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


def _nearest_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f"; there is no folder {path.parent}"
    return nearest(path.name, [file.name for file in path.parent.glob("*.json")])


def _kind(value: Any) -> str:
    """Say what a JSON value is, in JSON's own words."""
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, str):
        return "a string"
    return "a list" if isinstance(value, list) else "an object"
