"""The study file: what is trained, on what, how, and how it is scored.

TOML is decoded strictly: an unknown key or a wrong type is an error that names the place.
"""

import tomllib
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails

from lorasweep.errors import UserError, nearest
from lorasweep.study.grid import Configuration, Grid, points
from lorasweep.study.overrides import apply_override
from lorasweep.study.sections import Data, Evaluate, Model, Pack, Race, Recipe, Report, Section


class Study(Section):
    """A study: base model, data, recipe, grid and evaluation."""

    name: str = Field(pattern=r"^\w[\w.-]*$")
    model: Model
    data: Data
    recipe: Recipe = Recipe()
    pack: Pack = Pack()
    race: Race | None = None
    grid: list[Grid] = Field(min_length=1)
    targets: dict[str, Annotated[list[str], Field(min_length=1)]] = {}
    evaluate: Evaluate = Evaluate()
    report: Report = Report()

    @classmethod
    def load(cls, source: str | Path, overrides: Iterable[str] = ()) -> Self:
        """Read a study file or a shipped study, and apply `section.key=value` overrides.

        Raises UserError that names the file, the key and the nearest right one.
        """
        text, place = _read(source)
        try:
            tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise UserError(f"{place}: not valid TOML: {error}") from None
        for override in overrides:
            apply_override(tables, override)
        return cls.parse(tables, place)

    @classmethod
    def parse(cls, tables: dict[str, Any], place: str = "study") -> Self:
        """Check decoded tables against the schema; `place` is named in errors."""
        try:
            return cls.model_validate(tables)
        except ValidationError as error:
            faults = [e for e in error.errors() if e["type"] != "default_factory_not_called"]
            raise UserError("\n".join(_explain(fault, place) for fault in faults)) from None

    def configurations(self) -> list[Configuration]:
        """Return the points of the grid in the order of the file."""
        return [point for table in self.grid for point in points(table)]


def shipped_studies() -> list[str]:
    """Return the names of the studies inside the package."""
    folder = resources.files("lorasweep.study") / "shipped"
    names = (f.name for f in folder.iterdir() if f.name.endswith(".toml"))
    return sorted(name.removesuffix(".toml") for name in names)


def _read(source: str | Path) -> tuple[str, str]:
    path = Path(source)
    if path.is_file():
        try:
            return path.read_text(encoding="utf-8"), str(path)
        except UnicodeDecodeError:
            raise UserError(f"{path}: not a text file in UTF-8") from None
    if str(source) in shipped_studies():
        shipped = resources.files("lorasweep.study") / "shipped" / f"{source}.toml"
        return shipped.read_text(encoding="utf-8"), str(source)
    raise UserError(
        f"no study {str(source)!r}: no such file, nor a shipped study"
        + nearest(str(source), shipped_studies())
    )


def _explain(error: ErrorDetails, place: str) -> str:
    """Return one line for one schema error, with the nearest known key for an unknown one."""
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        *parents, key = error["loc"]
        return f"{place}: unknown key {where!r}{nearest(str(key), _known_keys(parents))}"
    if error["type"] == "missing":
        return f"{place}: {where!r} is missing"
    message = error["msg"].removeprefix("Value error, ")
    return f"{place}: {where} = {error['input']!r}: {message}"


def _known_keys(parents: Iterable[int | str]) -> list[str]:
    sections: dict[str, type[Section]] = {
        "model": Model, "data": Data, "recipe": Recipe, "pack": Pack, "race": Race,
        "grid": Grid, "evaluate": Evaluate, "report": Report,
    }  # fmt: skip
    names = [part for part in parents if isinstance(part, str)]
    return list((sections[names[0]] if names else Study).model_fields)
