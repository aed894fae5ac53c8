"""The grid of a study file: tables of axes, and the configurations that they come to."""

import itertools
import math
import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from lorasweep.study.sections import COUNT, SEED, Positive, Section, Seed, Text, as_list

T = TypeVar("T")
ALPHA = 'a number above 0, or a multiple of the rank such as "2r"'
ABOVE_0 = "a number above 0"
ALPHA_OF_RANK = re.compile(r"(\d+(?:\.\d+)?)?r")


def _without_repeats(values: list[T]) -> list[T]:
    if len(values) != len(set(values)):
        raise ValueError("a value occurs twice")
    return values


Axis = Annotated[
    list[T], BeforeValidator(as_list), Field(min_length=1), AfterValidator(_without_repeats)
]


def _alpha(value: Any) -> Any:
    if isinstance(value, str):
        valid = bool(ALPHA_OF_RANK.fullmatch(value)) and 0 < resolve_alpha(value, 1) < math.inf
    else:
        valid = type(value) in (int, float) and 0 < value < math.inf
    if not valid:
        raise ValueError(f"alpha is {ALPHA}")
    return value


Alpha = Annotated[float | str, BeforeValidator(_alpha)]
Scaling = Literal["standard", "rslora"]


def _axis(expected: str, lora: Any, full: Any = None) -> Any:
    """Return an axis' field: what its values are, and its default by the table's method."""
    return Field(
        default_factory=lambda table: full if table.get("method") == "full" else lora,
        description=expected,
    )


class Grid(Section):
    """One table of the grid: every list is an axis, and the configurations are their product.

    Full fine-tuning has the axes lr and seed alone; the others are None there.
    """

    method: Literal["lora", "full"] = Field(default="lora", description='"lora" or "full"')
    targets: Axis[Text] | None = _axis("the name of a set or of a module", ["attn"])
    rank: Axis[Positive] | None = _axis(COUNT, [8])
    lr: Axis[Annotated[float, Field(gt=0)]] = _axis(ABOVE_0, [1e-3], [2e-5])
    alpha: Axis[Alpha] | None = _axis(ALPHA, [16.0])
    dropout: Axis[Annotated[float, Field(ge=0, lt=1)]] | None = _axis(
        "a share from 0 to below 1", [0.0]
    )
    seed: Axis[Seed] = Field(default=[0], description=SEED)
    scaling: Axis[Scaling] | None = _axis('"standard" or "rslora"', ["standard"])
    lr_ratio: Axis[Annotated[float, Field(gt=0)]] | None = _axis(ABOVE_0, [1.0])

    @field_validator("targets", "rank", "alpha", "dropout", "scaling", "lr_ratio", mode="before")
    @classmethod
    def _only_lora_has_it(cls, value: Any, info: ValidationInfo) -> Any:
        is_full = info.data.get("method") == "full"
        if is_full != (value is None):
            raise ValueError(f"full fine-tuning has no {info.field_name}" if is_full else "no null")
        return value


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


def resolve_alpha(alpha: float | str, rank: int) -> float:
    """Return alpha as a number: "2r" is twice the rank."""
    if not isinstance(alpha, str):
        return float(alpha)
    return float(alpha.removesuffix("r") or 1) * rank


def points(table: Grid) -> Iterable[Configuration]:
    """Yield the points of one table, in the order of its axes."""
    axes = {n: getattr(table, n) or [None] for n in Configuration.model_fields if n != "method"}
    for values in itertools.product(*axes.values()):
        yield Configuration(method=table.method, **dict(zip(axes, values, strict=True)))
