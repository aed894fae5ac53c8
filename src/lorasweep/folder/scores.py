"""Scores by their scorers' names, as types: of one answer, of a decoder's answers, of a slice.

On disk a scorer's name is the key of its mean, beside `<name>_interval` and others: an object has
the keys `f1` and `f1_interval` where F1 is scored.
"""

import math
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from lorasweep.folder.stored import Interval, Share, Stored, WideInterval
from lorasweep.study.scorers import kind_of
from lorasweep.study.sections import Unit

# The name of the evaluation loss among metrics; the others are decoders.
EVAL_LOSS = "eval_loss"
Finite = Annotated[float, Field(allow_inf_nan=False)]
# What is known of a scorer beside its mean: field of Score -> how its key is made of the name.
BESIDE_THE_MEAN = {
    "interval": "{}_interval",
    "design_effect": "{}_design_effect",
    "wilson_interval": "{}_wilson_interval",
    "best_of_n": "best_of_n_{}",
}


@cache
def _range_of(scorer: str) -> tuple[float, float]:
    kind = kind_of(scorer)
    low, high = (None, None) if kind is None else (kind.low, kind.high)
    return -math.inf if low is None else low, math.inf if high is None else high


def _within_their_range(scores: dict[str, float]) -> dict[str, float]:
    for name, value in scores.items():
        low, high = _range_of(name)
        if not low <= value <= high:
            raise ValueError(f"{name} = {value}: expected {low} to {high}")
    return scores


@cache
def _fields(cls: type[Stored]) -> frozenset[str]:
    return frozenset(cls.model_fields)


class FlatScores(Stored):
    """A type whose `scores` stand on disk each under its scorer's name.

    Keys that are none of the type's own are scorers.
    """

    @classmethod
    def parted(cls, values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what is on disk as the type's own keys, and those of scorers."""
        fields, own = _fields(cls), dict(values)
        return own, {key: own.pop(key) for key in values if key not in fields}

    @model_validator(mode="before")
    @classmethod
    def _gathered(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "scores" in values:
            return values
        own, scores = cls.parted(values)
        return own | {"scores": scores}

    @model_serializer(mode="wrap")
    def _flat(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        own: dict[str, Any] = handler(self)
        scores: dict[str, Any] = own.pop("scores")
        return own | scores


class Score(Stored):
    """A mean score with its 95 % interval, in points of 0 to 100 where the score is a share.

    `design_effect` is the mean's variance under resampling of clusters over that of examples drawn
    one by one. `wilson_interval` takes examples for independent: a check only, and only where
    every answer is right or wrong. `best_of_n` is the mean of the best draw of each example.
    """

    mean: Finite
    interval: WideInterval = None
    design_effect: float | None = None
    wilson_interval: Interval | None = None
    best_of_n: float | None = None


class ByScorer(FlatScores):
    """Scores by name, in the study's order; `rank_by` names the one that ranks."""

    rank_by: str = "f1"
    scores: dict[str, Score]

    @property
    def rank(self) -> Score:
        """The score that ranks."""
        return self.scores[self.rank_by]

    @model_validator(mode="before")
    @classmethod
    def _gathered(cls, values: Any) -> Any:
        """Gather what is on disk under the scorers' names."""
        if not isinstance(values, dict) or "scores" in values:
            return values
        own, flat = cls.parted(values)
        return own | {"scores": {name: _score(name, flat) for name in _names(flat)}}

    @model_validator(mode="after")
    def _ranks_by_one_of_them(self) -> Self:
        if self.rank_by not in self.scores:
            raise ValueError(f"no score {self.rank_by!r}, by which runs are ranked")
        return self

    @model_serializer(mode="wrap")
    def _flat(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        own: dict[str, Any] = handler(self)
        scores = own.pop("scores")
        for name, score in scores.items():
            own[name] = score["mean"]
            own.update({key.format(name): score[field] for field, key in BESIDE_THE_MEAN.items()})
        return own


class Scores(ByScorer):
    """The scores of one decoder's predictions; `clusters` is what intervals resample.

    `answer_tokens` is the mean length of an answer. For a decoder that samples, scores are means
    over an example's draws, and more is known: the scores of its best draw, how many of its draws
    differ after normalising, and the share of pairs of draws (0 to 1) that do not.
    """

    clusters: Unit = "paragraph"
    num_questions: int
    ended_share: Share
    seconds_per_question: float | None = None
    answer_tokens: float | None = None
    distinct_answers: float | None = None
    agreement: float | None = None

    @property
    def samples(self) -> bool:
        """Say whether answers were drawn at random."""
        return self.rank.best_of_n is not None


class Prediction(FlatScores):
    """One answer to an example; a row of predictions/<decoder>.parquet.

    `question` is what people are shown of the prompt, `article` its source and `paragraph` its
    group. `scores` are those of each scorer as it gives them, a column a scorer on disk. `draw`
    counts the answers that a sampling decoder gives to one example.
    """

    id: str
    article: str
    paragraph: str
    question: str
    prediction: str
    answers: list[str]
    ended: bool
    num_tokens: int
    scores: Annotated[dict[str, Finite], AfterValidator(_within_their_range)]
    draw: int = 0


def _names(flat: Mapping[str, Any]) -> list[str]:
    """Return the keys that are scorers' names: those whose value is a mean."""
    derived = {key.format(name) for name in flat for key in BESIDE_THE_MEAN.values()}
    return [name for name in flat if name not in derived]


def _score(name: str, flat: Mapping[str, Any]) -> dict[str, Any]:
    beside = {field: flat.get(key.format(name)) for field, key in BESIDE_THE_MEAN.items()}
    return {"mean": flat[name], **beside}


def scores_of(metrics: Mapping[str, Scores | float], decoder: str) -> Scores | None:
    """Return one decoder's scores, or None where it has not run."""
    found = metrics.get(decoder)
    return found if isinstance(found, Scores) else None


def eval_loss_of(metrics: Mapping[str, Scores | float]) -> float | None:
    """Return the evaluation loss in nats per answer token, or None where there is none."""
    found = metrics.get(EVAL_LOSS)
    return found if isinstance(found, float) else None
