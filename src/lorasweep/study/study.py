"""The study file: what is trained, on what, how, and how it is scored.

TOML is decoded strictly: an unknown key or a wrong type is an error that names the place.
"""

import hashlib
import itertools
import json
import math
import re
import tomllib
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from lorasweep.errors import UserError, nearest
from lorasweep.study.decoders import checked_names
from lorasweep.study.overrides import apply_override

PROMPT = "Context: {context}\n\nQuestion: {question}\n\nAnswer:"
T = TypeVar("T")
ALPHA_OF_RANK = re.compile(r"(\d+(?:\.\d+)?)?r")


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _without_repeats(values: list[T]) -> list[T]:
    if len(values) != len(set(values)):
        raise ValueError("a value occurs twice")
    return values


Axis = Annotated[
    list[T], BeforeValidator(_as_list), Field(min_length=1), AfterValidator(_without_repeats)
]
Sources = Annotated[list[str], BeforeValidator(_as_list)]


def _alpha(value: Any) -> Any:
    if isinstance(value, str):
        valid = bool(ALPHA_OF_RANK.fullmatch(value)) and 0 < resolve_alpha(value, 1) < math.inf
    else:
        valid = type(value) in (int, float) and 0 < value < math.inf
    if not valid:
        raise ValueError('alpha is a number above 0, or a multiple of the rank such as "2r"')
    return value


def _count_or_auto(value: Any) -> Any:
    if value != "auto" and (type(value) is not int or value <= 0):
        raise ValueError('expected a whole number above 0, or "auto"')
    return value


DecoderNames = Annotated[list[str], Field(min_length=1), AfterValidator(checked_names)]
Alpha = Annotated[float | str, BeforeValidator(_alpha)]
Positive = Annotated[int, Field(gt=0)]
Scaling = Literal["standard", "rslora"]
Unit = Literal["paragraph", "article"]
CountOrAuto = Annotated[int | Literal["auto"], BeforeValidator(_count_or_auto)]


class Section(BaseModel):
    """A table of the study file: no unknown keys, no silent conversions, no infinite numbers."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Model(Section):
    """The base model and the precision of its products."""

    base: str
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"


class Data(Section):
    """Where questions come from, how many, and the prompt they are put in."""

    train: Sources = Field(min_length=1)
    eval: Sources = []
    test: Sources = []
    num_train: Positive | None = None
    num_eval: Positive | None = None
    num_test: Positive | None = None
    seed: int = 0
    max_tokens: Positive | None = None
    too_long: Literal["error", "skip"] = "error"
    sample: Literal["paragraph", "question"] = "paragraph"
    split: Literal["article", "question"] = "article"
    prompt: str = PROMPT

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> Self:
        if self.num_test is not None and not self.test:
            raise ValueError("num_test is given, but there is no test set: name files in test")
        if self.split == "question" and self.eval:
            raise ValueError("split says how train is split, but eval names a set of its own")
        return self

    @field_validator("prompt")
    @classmethod
    def _prompt_has_both_fields(cls, prompt: str) -> str:
        for field in ("{context}", "{question}"):
            if prompt.count(field) != 1:
                raise ValueError(f"the prompt needs {field} exactly once")
        if prompt.index("{context}") > prompt.index("{question}"):
            raise ValueError("the prompt has the context after the question; trees need it before")
        if prompt != prompt.rstrip():
            raise ValueError("the prompt ends in white space; the answer brings its own space")
        return prompt


class Recipe(Section):
    """How every run of the study is trained."""

    epochs: Positive = 3
    batch_size: Positive = 32
    micro_batch: CountOrAuto = "auto"
    warmup: float = Field(default=0.0, ge=0, lt=1)
    weight_decay: float = Field(default=0.01, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    schedule: Literal["constant", "linear", "cosine"] = "linear"


class Pack(Section):
    """How many runs are trained in lockstep, and how often their state is saved at most."""

    lanes: CountOrAuto = "auto"
    checkpoint_minutes: float = Field(default=5.0, ge=0)


class Race(Section):
    """Whether runs may be stopped on the way: at which shares of training, and how surely worse.

    `level` is the confidence that no run is stopped that is not worse than the leader, over all
    runs and rungs together.
    """

    rungs: list[Annotated[float, Field(gt=0, lt=1)]] = Field(
        default=[0.25, 0.5, 0.75], min_length=1
    )
    level: float = Field(default=0.95, gt=0.5, lt=1)

    @field_validator("rungs")
    @classmethod
    def _rungs_rise(cls, rungs: list[float]) -> list[float]:
        if any(low >= high for low, high in itertools.pairwise(rungs)):
            raise ValueError("rungs are shares of training, each larger than the one before")
        return rungs


def _default(lora: Any, full: Any = None) -> Any:
    """Return an axis' default by the table's method."""
    return Field(default_factory=lambda table: full if table.get("method") == "full" else lora)


class Grid(Section):
    """One table of the grid: every list is an axis, and the configurations are their product.

    Full fine-tuning has the axes lr and seed alone; the others are None there.
    """

    method: Literal["lora", "full"] = "lora"
    targets: Axis[str] | None = _default(["attn"])
    rank: Axis[Positive] | None = _default([8])
    lr: Axis[Annotated[float, Field(gt=0)]] = _default([1e-3], [2e-5])
    alpha: Axis[Alpha] | None = _default([16.0])
    dropout: Axis[Annotated[float, Field(ge=0, lt=1)]] | None = _default([0.0])
    seed: Axis[int] = [0]
    scaling: Axis[Scaling] | None = _default(["standard"])
    lr_ratio: Axis[Annotated[float, Field(gt=0)]] | None = _default([1.0])

    @field_validator("targets", "rank", "alpha", "dropout", "scaling", "lr_ratio", mode="before")
    @classmethod
    def _only_lora_has_it(cls, value: Any, info: ValidationInfo) -> Any:
        is_full = info.data.get("method") == "full"
        if is_full != (value is None):
            raise ValueError(f"full fine-tuning has no {info.field_name}" if is_full else "no null")
        return value


class Evaluate(Section):
    """How finished runs answer and are scored; `draws` and `seed` are for decoders that sample.

    `clusters` is what intervals and tests take for independent of each other.
    """

    decoders: DecoderNames = ["greedy"]
    max_new_tokens: Positive = 32
    draws: Positive = 5
    seed: int = 0
    clusters: Unit = "paragraph"


class Configuration(BaseModel):
    """One point of the grid as written; what LoRA alone has is None for full fine-tuning."""

    model_config = ConfigDict(frozen=True)

    method: str
    targets: str | None
    rank: int | None
    lr: float
    alpha: float | str | None
    dropout: float | None
    seed: int
    # Records of before these were axes have neither.
    scaling: Scaling | None = "standard"
    lr_ratio: float | None = 1.0


class ImportedConfiguration(BaseModel):
    """What is known of an adapter trained elsewhere; it stands where a Configuration does."""

    model_config = ConfigDict(frozen=True)

    method: Literal["imported"] = "imported"
    targets: None = None
    rank: int
    lr: None = None
    alpha: float
    dropout: float | None
    seed: None = None
    scaling: None = None
    lr_ratio: None = None


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
        return [point for table in self.grid for point in _points(table)]


def shipped_studies() -> list[str]:
    """Return the names of the studies inside the package."""
    folder = resources.files("lorasweep.study") / "shipped"
    names = (f.name for f in folder.iterdir() if f.name.endswith(".toml"))
    return sorted(name.removesuffix(".toml") for name in names)


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def fingerprint(value: Any) -> str:
    """Return 12 hexadecimal digits that stand for a JSON value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:12]


def resolve_alpha(alpha: float | str, rank: int) -> float:
    """Return alpha as a number: "2r" is twice the rank."""
    if not isinstance(alpha, str):
        return float(alpha)
    return float(alpha.removesuffix("r") or 1) * rank


def _points(table: Grid) -> Iterable[Configuration]:
    axes = {n: getattr(table, n) or [None] for n in Configuration.model_fields if n != "method"}
    for values in itertools.product(*axes.values()):
        yield Configuration(method=table.method, **dict(zip(axes, values, strict=True)))


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
        "grid": Grid, "evaluate": Evaluate,
    }  # fmt: skip
    names = [part for part in parents if isinstance(part, str)]
    return list((sections[names[0]] if names else Study).model_fields)
