"""Files of a folder: written aside and renamed, so that none is ever half there; read as types."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError

from lorasweep.errors import UserError
from lorasweep.hub.modes import open_as_the_umask_says, set_mode

R = TypeVar("R", bound=BaseModel)
# What is written aside: the name, the process, and an ending that nobody else gives.
ASIDE = re.compile(r"^\..+\.\d+\.lorasweep\.part$")


# The folders that this process holds, and what tells the mark in each from another's.
HELD: dict[Path, tuple[Path, tuple[int, int]]] = {}


def identity_of(mark: Path) -> tuple[int, int] | None:
    """Return what tells a file from another of its name; None where it is gone."""
    try:
        found = mark.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def refuse_if_gone(path: Path) -> None:
    """Raise UserError where a folder that this process holds was removed or moved away."""
    for folder, (mark, identity) in HELD.items():
        if folder in path.parents and identity_of(mark) != identity:
            raise UserError(
                f"{folder}: the folder is gone; nothing more is written. If it was moved, the same "
                "command with --out and its new place goes on"
            )


def read_as(path: Path, kind: type[R], remedy: str) -> R | None:
    """Return a JSON file as a type, or None where there is none.

    Raises UserError where it is damaged; `remedy` says there what to do.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        refuse_if_gone(path)
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


def write_text(path: Path, text: str, must_last: bool = True) -> None:
    """Write a text file atomically."""
    with replaced_file(path, must_last) as aside:
        aside.write_text(text, encoding="utf-8")


def write_weights(path: Path, save: Callable[[Path], None]) -> None:
    """Let `save` fill a folder aside, and put it in place; UserError where it cannot be written."""
    try:
        with replaced_folder(path) as aside:
            save(aside)
            for file in aside.iterdir():
                _to_disk(file)
    except SafetensorError as error:
        # What its library raises where a disk is full, say.
        raise UserError(
            f"{path}: cannot be written: {error}; what is finished is kept, and the same command "
            "goes on"
        ) from None


@contextmanager
def replaced_file(path: Path, must_last: bool = True) -> Iterator[Path]:
    """Give a path aside to write to; on success it takes the file's place, else it is removed.

    One that must last is on the disk before that: a power loss leaves the old or the new one.
    """
    refuse_if_gone(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(path)
    try:
        aside.touch()
        mode = aside.stat().st_mode
        yield aside
        set_mode(aside, mode)
        if must_last:
            _to_disk(aside)
        os.replace(aside, path)
        if must_last:
            _to_disk(path.parent)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """Give a folder aside to fill; on success it takes the folder's place, else it is removed."""
    refuse_if_gone(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside, before = _aside(path), _aside(path.with_name(f"{path.name}.before"))
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        yield aside
        open_as_the_umask_says(aside)
        if path.is_dir():
            os.replace(path, before)
        os.replace(aside, path)
    finally:
        if before.is_dir() and not path.exists():
            os.replace(before, path)
        for folder in (aside, before):
            shutil.rmtree(folder, ignore_errors=True)


def remove_aside(path: Path) -> None:
    """Remove what killed processes were writing for a place, beside it."""
    for part in path.parent.glob(f".{path.name}.*.part"):
        if ASIDE.match(part.name):
            shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Have the system write a file or a folder's entries out, where it can."""
    # Windows opens no folders, and some file systems know no fsync of them.
    with suppress(OSError):
        opened = os.open(path, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.lorasweep.part")
