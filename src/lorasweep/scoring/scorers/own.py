"""Scorers of the user's own: `module:function` comes in; a checked scorer goes out."""

import importlib
import importlib.util
import inspect
import math
import sys
from collections.abc import Callable
from numbers import Real
from pathlib import Path
from types import ModuleType
from typing import Any

from lorasweep.data.examples import Example
from lorasweep.errors import UserError, nearest, quoted
from lorasweep.hub.checksums import sha256_of
from lorasweep.scoring.scorers.scorer import Scorer


def own_scorer(name: str, folder: Path) -> Scorer:
    """Return the scorer that a function makes: `score(answer, example) -> float`.

    Its module is a file of the folder (`package.module` in a folder within), or one that is
    installed. A function may say what it is by attributes: `low` and `high`, between which its
    numbers lie, and `higher_is_better`. The signature is the SHA-256 of the module's file.
    Raises UserError for what cannot be imported or called, and while scoring for what fails or
    gives no finite number.
    """
    module_name, _, function_name = name.partition(":")
    module = _imported(name, module_name, folder)
    function = _function(name, module, function_name)
    file = Path(getattr(module, "__file__", None) or "")
    return Scorer(
        name=name,
        score=_checked(name, function),
        low=_bound(name, function, "low"),
        high=_bound(name, function, "high"),
        higher_is_better=bool(getattr(function, "higher_is_better", True)),
        signature=f"sha256:{sha256_of(file)}" if file.is_file() else "",
    )


def _imported(name: str, module_name: str, folder: Path) -> ModuleType:
    """Import a module, the folder's own before one that is installed.

    The folder goes behind all others that are searched, so that the module finds its neighbours
    and none of them stands in for a module of Python's.
    """
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    file = folder.joinpath(*module_name.split(".")).with_suffix(".py")
    try:
        return _run(module_name, file) if file.is_file() else importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise UserError(f"{_of(name)}: {module_name} needs {error.name!r}, which is not "
                            "installed") from None  # fmt: skip
        names = [each.stem for each in folder.glob("*.py")]
        raise UserError(
            f"{_of(name)}: no module {module_name!r} in {folder}, and none is installed"
            f"{nearest(module_name, names)}"
        ) from None
    except Exception as error:
        raise UserError(f"{_of(name)}: importing it fails: {_said(error)}") from None


def _run(module_name: str, file: Path) -> ModuleType:
    """Run a file as a module, known by its place: two folders may have modules of one name."""
    unique = f"{module_name}@{file.resolve()}"
    spec = importlib.util.spec_from_file_location(unique, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module
    spec.loader.exec_module(module)
    return module


def _function(name: str, module: ModuleType, function_name: str) -> Callable[..., Any]:
    function: Callable[..., Any] | None = getattr(module, function_name, None)
    if function is None:
        names = [each for each, value in vars(module).items() if inspect.isfunction(value)]
        raise UserError(
            f"{_of(name)}: its module has no {function_name!r}{nearest(function_name, names)}"
        )
    if not callable(function):
        raise UserError(f"{_of(name)}: {function_name!r} is no function, but {quoted(function)}")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # builtins without one are tried out
        return function
    try:
        signature.bind("answer", None)
    except TypeError:
        raise UserError(
            f"{_of(name)}: {function_name}{signature} is to take two arguments, (answer, example)"
        ) from None
    return function


def _checked(name: str, function: Callable[..., Any]) -> Callable[[str, Example], float]:
    def score(answer: str, example: Example) -> float:
        where = f"{_of(name)}: example {example.id!r}"
        try:
            value = function(answer, example)
        except Exception as error:
            raise UserError(f"{where}: it raises {_said(error)}") from error
        if not isinstance(value, Real):
            raise UserError(f"{where}: it returns {quoted(value)}, not a number")
        if not math.isfinite(value):
            raise UserError(f"{where}: it returns {float(value)}, not a finite number")
        return float(value)

    return score


def _bound(name: str, function: Callable[..., Any], which: str) -> float | None:
    value = getattr(function, which, None)
    if value is not None and not isinstance(value, Real):
        raise UserError(f"{_of(name)}: its attribute {which} is {quoted(value)}, not a number")
    return None if value is None else float(value)


def _of(name: str) -> str:
    return f"evaluate.scorers: {quoted(name)}"


def _said(error: Exception) -> str:
    """Return an exception in one line."""
    reason = " ".join(str(error).split())
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__
