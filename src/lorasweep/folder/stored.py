"""What all types that are on disk have in common."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Interval = tuple[float, float]


def _with_a_width(interval: Interval | None) -> Interval | None:
    return interval if interval and interval[0] < interval[1] else None


# Earlier versions wrote intervals of width 0 where all paragraphs agree; they know nothing.
WideInterval = Annotated[Interval | None, AfterValidator(_with_a_width)]
# Neither infinite nor not a number.
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
# What names a file or a folder: a study's folder from elsewhere must not point out of itself.
FileName = Annotated[str, Field(pattern=r"^[^./\\][^/\\]*$")]


class Stored(BaseModel):
    """A type that is read from and written to disk; unknown keys are kept out."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Sealed(Stored):
    """A record that says what its files held when it was written.

    `files` maps each, by its path in the record's folder, to its SHA-256; to nothing where a file
    was about to be written again. Records of before have none.
    """

    files: dict[str, str] = {}
