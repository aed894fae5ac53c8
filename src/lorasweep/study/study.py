"""The study file: what is trained, on what, how, and how it is scored.

TOML is decoded strictly: an unknown key or a wrong type is an error that names the place.
"""

import re
import tomllib
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from lorasweep.console.plain_text import visible
from lorasweep.errors import UserError, nearest
from lorasweep.study.data_section import Data
from lorasweep.study.faults import explain
from lorasweep.study.forms import DEFAULTS, Form
from lorasweep.study.grid import Configuration, Grid, points
from lorasweep.study.overrides import apply_override
from lorasweep.study.scorers import refuse_scorers_of_other_forms
from lorasweep.study.sections import (
    Evaluate,
    Model,
    Pack,
    Race,
    Recipe,
    Report,
    Section,
    Text,
    as_list,
)


def _tables(value: Any) -> Any:
    """Return one table, [grid], as a list of one, [[grid]]."""
    return [value] if isinstance(value, dict) else value


def _set_name(name: str) -> str:
    if visible(name) != name or {"\n", "\t"} & set(name) or not name.strip():
        raise ValueError("a set's name has characters that can be seen, and no line breaks")
    if len(name) > LONGEST_SET_NAME:
        raise ValueError(f"a set's name has at most {LONGEST_SET_NAME} characters")
    return name


LONGEST_SET_NAME = 100
YAML = re.compile(r"(- )?[\w-]+:(\s|$)")
HOW_TOML_LOOKS = "its lines are `key = value` below [section] (docs/studies.md has one)"
SetName = Annotated[str, AfterValidator(_set_name)]


class Study(Section):
    """A study: base model, data, recipe, grid and evaluation."""

    name: Annotated[str, Field(pattern=r"^\w[\w.-]*$", max_length=100)] = Field(
        description="the study's name: letters, digits, '_', '-' and '.', no spaces, at most 100"
    )
    model: Model = Field(description="a table [model] with base, the base model")
    data: Data = Field(description="a table [data] with train, the questions")
    recipe: Recipe = Field(default=Recipe(), description="a table [recipe]")
    pack: Pack = Field(default=Pack(), description="a table [pack]")
    race: Race | None = Field(default=None, description="a table [race]")
    grid: Annotated[list[Grid], BeforeValidator(_tables)] = Field(
        min_length=1, description="a table [[grid]], or several"
    )
    targets: dict[SetName, Annotated[list[Text], BeforeValidator(as_list), Field(min_length=1)]] = (
        Field(
            default={}, description="modules' names, as a list for each set in the table [targets]"
        )
    )
    evaluate: Evaluate = Field(default=Evaluate(), description="a table [evaluate]")
    report: Report = Field(default=Report(), description="a table [report]")

    @model_validator(mode="before")
    @classmethod
    def _evaluated_as_the_form_is(cls, tables: Any) -> Any:
        """Fill in how the form of the data is evaluated for what [evaluate] leaves out."""
        if not isinstance(tables, dict) or not isinstance(tables.get("data"), dict):
            return tables
        form, evaluate = tables["data"].get("form", "qa"), tables.get("evaluate", {})
        if not isinstance(form, str) or form not in DEFAULTS or not isinstance(evaluate, dict):
            return tables
        return tables | {"evaluate": _defaults_of(form, evaluate) | evaluate}

    @field_validator("evaluate")
    @classmethod
    def _scorers_fit_the_form(cls, evaluate: Evaluate, info: ValidationInfo) -> Evaluate:
        if isinstance(data := info.data.get("data"), Data):
            refuse_scorers_of_other_forms(evaluate.scorers, data.form)
        return evaluate

    @classmethod
    def load(cls, source: str | Path, overrides: Iterable[str] = ()) -> Self:
        """Read a study file or a shipped study, and apply `section.key=value` overrides.

        Raises UserError that names the file, the key and the nearest right one.
        """
        text, place = _read(source)
        try:
            tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise UserError(f"{place}: {_no_toml(text, error)}") from None
        if "grid" in tables:
            tables["grid"] = _tables(tables["grid"])
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
            raise UserError("\n".join(explain(fault, place, cls) for fault in faults)) from None

    def configurations(self) -> list[Configuration]:
        """Return the points of the grid in the order of the file."""
        return [point for table in self.grid for point in points(table)]


def _defaults_of(form: Form, evaluate: dict[str, Any]) -> dict[str, Any]:
    """Return a form's [evaluate]; of scorers that are named, the first one ranks."""
    its, named = DEFAULTS[form], as_list(evaluate.get("scorers", []))
    return {
        "max_new_tokens": its.max_new_tokens,
        "stop": list(its.stop),
        "scorers": list(its.scorers),
        "rank_by": its.rank_by if its.rank_by in named or not named else named[0],
    }


def shipped_studies() -> list[str]:
    """Return the names of the studies inside the package."""
    folder = resources.files("lorasweep.study") / "shipped"
    names = (f.name for f in folder.iterdir() if f.name.endswith(".toml"))
    return sorted(name.removesuffix(".toml") for name in names)


def _read(source: str | Path) -> tuple[str, str]:
    path = Path(source)
    if path.is_file():
        try:
            return path.read_text(encoding="utf-8-sig"), str(path)
        except UnicodeDecodeError:
            raise UserError(f"{path}: not a text file in UTF-8") from None
    if str(source) in shipped_studies():
        shipped = resources.files("lorasweep.study") / "shipped" / f"{source}.toml"
        return shipped.read_text(encoding="utf-8"), str(source)
    if path.is_dir():
        raise UserError(f"{path}: a folder, where a study's file is expected")
    raise UserError(
        f"no study {str(source)!r}: no such file, nor a shipped study{_nearest_study(path)}"
    )


def _nearest_study(path: Path) -> str:
    """Return the study file beside a name that is none, or else what is shipped."""
    files = [file.name for file in path.parent.glob("*.toml")]
    name = path.name if path.suffix else f"{path.name}.toml"
    hint = nearest(name, files)
    return hint if "?" in hint else nearest(str(path), shipped_studies())


def _no_toml(text: str, error: tomllib.TOMLDecodeError) -> str:
    """Return why a text is no TOML, and what it is in its place where that can be seen."""
    lines = (line.strip() for line in text.splitlines())
    first = next((line for line in lines if line.strip("- ") and line[0] != "#"), "")
    if first.startswith(("{", '["', "[{")):
        return f"this is JSON, and a study is TOML; {HOW_TOML_LOOKS}"
    if YAML.match(first):
        return f"this is YAML, and a study is TOML; {HOW_TOML_LOOKS}"
    return f"not valid TOML: {error}"
