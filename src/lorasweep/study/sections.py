"""The sections of a study file but for the grid: from the model to the report."""

import itertools
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from lorasweep.study.decoders import checked_names
from lorasweep.study.forms import DEFAULTS
from lorasweep.study.scorers import DEFAULT_RULES, checked_rank_by, checked_rules, checked_scorers


def as_list(value: Any) -> Any:
    """Return a list as it is, and anything else as a list of one."""
    return value if isinstance(value, list) else [value]


def _count_or_auto(value: Any) -> Any:
    if value != "auto" and (type(value) is not int or not 0 < value < MOST):
        raise ValueError(f'expected {COUNT}, or "auto"')
    return value


# Beyond these, numbers of torch and of files are no longer what was written.
MOST = 2**31
MOST_EPOCHS = 100_000
COUNT = "a whole number above 0"
SEED = "a whole number"
Text = Annotated[str, Field(min_length=1)]
DecoderNames = Annotated[
    list[str], BeforeValidator(as_list), Field(min_length=1), AfterValidator(checked_names)
]
ScorerNames = Annotated[
    list[Text], BeforeValidator(as_list), Field(min_length=1), AfterValidator(checked_scorers)
]
Sources = Annotated[list[Text], BeforeValidator(as_list)]
Positive = Annotated[int, Field(gt=0, lt=MOST)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Unit = Literal["paragraph", "article"]
# Those that the report has strings for.
Language = Literal["en", "fa"]
CountOrAuto = Annotated[int | Literal["auto"], BeforeValidator(_count_or_auto)]


class Section(BaseModel):
    """A table of the study file: no unknown keys, no silent conversions, no infinite numbers.

    A field's description is what messages say that it expects, of a value or of each in a list.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Model(Section):
    """The base model and the precision of its products."""

    base: str = Field(description="an alias such as smollm2-135m, a local folder, or a Hub id")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto", description='"auto", "fp32", "bf16" or "fp16"'
    )
    chat_template: str = Field(default="", description="a file of Jinja, such as chat.jinja")


class Recipe(Section):
    """How every run of the study is trained."""

    epochs: Annotated[int, Field(gt=0, le=MOST_EPOCHS)] = Field(
        default=3, description=f"a whole number from 1 to {MOST_EPOCHS:,}"
    )
    batch_size: Positive = Field(default=32, description=f"{COUNT}, of questions")
    micro_batch: CountOrAuto = Field(default="auto", description=f'{COUNT}, or "auto"')
    warmup: float = Field(
        default=0.0, ge=0, lt=1, description="a share of the steps, from 0 to below 1"
    )
    weight_decay: float = Field(default=0.01, ge=0, description="a number from 0")
    max_grad_norm: float = Field(default=1.0, gt=0, description="a number above 0")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        default="linear", description='"constant", "linear" or "cosine"'
    )


class Pack(Section):
    """How many runs are trained in lockstep, and how often their state is saved at most."""

    lanes: CountOrAuto = Field(default="auto", description=f'{COUNT}, or "auto"')
    checkpoint_minutes: float = Field(default=5.0, ge=0, description="a number from 0")


class Race(Section):
    """Whether runs may be stopped on the way: at which shares of training, and how surely worse.

    `level` is the confidence that no run is stopped that is not worse than the leader, over all
    runs and rungs together.
    """

    rungs: Annotated[
        list[Annotated[float, Field(gt=0, lt=1)]], BeforeValidator(as_list), Field(min_length=1)
    ] = Field(default=[0.25, 0.5, 0.75], description="a share of training between 0 and 1")
    level: float = Field(default=0.95, gt=0.5, lt=1, description="a number between 0.5 and 1")

    @field_validator("rungs")
    @classmethod
    def _rungs_rise(cls, rungs: list[float]) -> list[float]:
        if any(low >= high for low, high in itertools.pairwise(rungs)):
            raise ValueError("rungs are shares of training, each larger than the one before")
        return rungs


class Report(Section):
    """Who hands the report in, and in what language; without one it keeps the folder's."""

    language: Language | None = Field(default=None, description='"en" or "fa"')
    author: str = Field(default="", description="a name, as it stands under the report's title")


class Evaluate(Section):
    """How finished runs answer and are scored; `draws` and `seed` are for decoders that sample.

    `clusters` is what intervals and tests take for independent of each other.
    """

    decoders: DecoderNames = Field(
        default=["greedy"], description="decoders by name, greedy among them"
    )
    max_new_tokens: Positive = Field(
        default=DEFAULTS["qa"].max_new_tokens, description=f"{COUNT}; left out, it is the form's"
    )
    stop: Annotated[list[Text], BeforeValidator(as_list)] = Field(
        default=list(DEFAULTS["qa"].stop), description="texts that end an answer"
    )
    scorers: ScorerNames = Field(
        default=list(DEFAULTS["qa"].scorers), description="scorers by name"
    )
    rank_by: Text = Field(
        default=DEFAULTS["qa"].rank_by, description="the scorer that ranks, one of scorers"
    )
    rules: Annotated[Text, AfterValidator(checked_rules)] = Field(
        default=DEFAULT_RULES, description="the rules of a data set's scores"
    )
    draws: Positive = Field(default=5, description=COUNT)
    seed: Seed = Field(default=0, description=SEED)
    clusters: Unit = Field(default="paragraph", description='"paragraph" or "article"')

    @field_validator("rank_by")
    @classmethod
    def _one_of_the_scorers_ranks(cls, rank_by: str, info: ValidationInfo) -> str:
        scorers = info.data.get("scorers")
        return rank_by if scorers is None else checked_rank_by(rank_by, scorers)

    @property
    def rank_decoder(self) -> str:
        """The decoder by whose answers runs are ranked."""
        return "greedy" if "greedy" in self.decoders else self.decoders[0]
