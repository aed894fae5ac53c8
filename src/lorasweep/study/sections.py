"""The sections of a study file but for the grid: from the model to the report."""

import itertools
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from lorasweep.study.decoders import checked_names

PROMPT = "Context: {context}\n\nQuestion: {question}\n\nAnswer:"


def as_list(value: Any) -> Any:
    """Return a list as it is, and anything else as a list of one."""
    return value if isinstance(value, list) else [value]


def _count_or_auto(value: Any) -> Any:
    if value != "auto" and (type(value) is not int or value <= 0):
        raise ValueError('expected a whole number above 0, or "auto"')
    return value


DecoderNames = Annotated[list[str], Field(min_length=1), AfterValidator(checked_names)]
Sources = Annotated[list[str], BeforeValidator(as_list)]
Positive = Annotated[int, Field(gt=0)]
Unit = Literal["paragraph", "article"]
# Those that the report has strings for.
Language = Literal["en", "fa"]
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


class Report(Section):
    """Who hands the report in, and in what language; without one it keeps the folder's."""

    language: Language | None = None
    author: str = ""


class Evaluate(Section):
    """How finished runs answer and are scored; `draws` and `seed` are for decoders that sample.

    `clusters` is what intervals and tests take for independent of each other.
    """

    decoders: DecoderNames = ["greedy"]
    max_new_tokens: Positive = 32
    draws: Positive = 5
    seed: int = 0
    clusters: Unit = "paragraph"
