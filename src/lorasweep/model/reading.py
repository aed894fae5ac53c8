"""What transformers and its libraries raise while they read a model folder, as one message."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lorasweep.errors import UserError
from lorasweep.hub.checked_config import CONFIG
from lorasweep.model.machine import is_out_of_memory

TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
OBJECTS = (CONFIG, "generation_config.json", TOKENIZER_CONFIG)
# Where the odd value is if each file can be read alone.
ELSE = {"config": CONFIG, "tokenizer": TOKENIZER_CONFIG}
# Messages of libraries that quote a file are as long as it.
LONGEST = 400


@contextmanager
def reading(folder: Path, what: str) -> Iterator[None]:
    """Raise UserError for whatever libraries raise while they read `what` of a model folder.

    They check little of what they read, so its odd values surface as errors of any type. Too
    little memory stays what it is.
    """
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise
        if "trust_remote_code" in str(error):
            raise UserError(
                f"{folder}: the {what} brings its own Python code, and lorasweep runs no code "
                "from a model; choose one that transformers has built in"
            ) from None
        where = _unreadable(folder) or folder / ELSE.get(what, "")
        raise UserError(
            f"{where}: transformers cannot load this {what}: {first_lines(error)}"
        ) from None


def first_lines(error: Exception) -> str:
    """Return a library's own first line, with the next where that is only its head."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines or isinstance(error, KeyError):
        return f"{type(error).__name__} {error}".strip()
    return " ".join(lines[: 2 if lines[0].endswith(":") else 1])[:LONGEST]


def _unreadable(folder: Path) -> Path | None:
    """Return the file that cannot be read alone, if one is to blame."""
    objects = (folder / name for name in OBJECTS if (folder / name).is_file())
    if broken := next((file for file in objects if not _is_object(file)), None):
        return broken
    if (folder / TOKENIZER).is_file() and not _is_tokenizer(folder / TOKENIZER):
        return folder / TOKENIZER
    return next(
        (file for file in sorted(folder.glob("*.safetensors")) if not _is_safetensors(file)), None
    )


def _is_object(file: Path) -> bool:
    try:
        return isinstance(json.loads(file.read_bytes()), dict)
    except ValueError:
        return False


def _is_tokenizer(file: Path) -> bool:
    from tokenizers import Tokenizer

    try:
        Tokenizer.from_file(str(file))
    except Exception:  # it raises nothing narrower
        return False
    return True


def _is_safetensors(file: Path) -> bool:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt"):
            return True
    except (SafetensorError, OSError):
        return False
