"""What all types that are on disk have in common."""

from pydantic import BaseModel, ConfigDict

Interval = tuple[float, float]


class Stored(BaseModel):
    """A type that is read from and written to disk; unknown keys are kept out."""

    model_config = ConfigDict(frozen=True, extra="forbid")
