"""Files of a folder: written aside and renamed, so that none is ever half there; read as types."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError

from lorasweep.errors import UserError

R = TypeVar("R", bound=BaseModel)
# What is written aside: the name, the process, and an ending that nobody else gives.
ASIDE = re.compile(r"^\..+\.\d+\.lorasweep\.part$")


def read_as(path: Path, kind: type[R], remedy: str) -> R | None:
    """Return a JSON file as a type, or None where there is none.

    Raises UserError where it is damaged; `remedy` says there what to do.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise UserError(f"{path.parent}: this is a file; a study needs a folder") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{path}: not readable as {kind.__name__}: {where}: {first['msg']}; {remedy}"
        ) from None


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with replaced_file(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_weights(path: Path, save: Callable[[Path], None]) -> None:
    """Let `save` fill a folder aside, and put it in place; UserError where it cannot be written."""
    try:
        with replaced_folder(path) as aside:
            save(aside)
    except SafetensorError as error:
        # What its library raises where a disk is full, say.
        raise UserError(
            f"{path}: cannot be written: {error}; what is finished is kept, and the same command "
            "goes on"
        ) from None


@contextmanager
def replaced_file(path: Path) -> Iterator[Path]:
    """Give a path aside to write to; on success it takes the file's place, else it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.lorasweep.part")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """Give a folder aside to fill; on success it takes the folder's place, else it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.lorasweep.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        yield aside
        shutil.rmtree(path, ignore_errors=True)
        os.replace(aside, path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
