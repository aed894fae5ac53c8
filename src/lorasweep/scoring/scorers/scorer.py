"""What a scorer is: a function of an answer and its example, with a name, range and direction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lorasweep.data.examples import Example
from lorasweep.errors import UserError, quoted
from lorasweep.study.scorers import SCORERS

Floats = NDArray[np.float64]
Score = Callable[[str, Example], float]


@dataclass(frozen=True, slots=True)
class CorpusScore:
    """A score of a whole set, from statistics that only have to be added up over its examples.

    `statistics` gives an example's vector [S]; `combine` maps sums of them [..., S] to scores
    [...], so that many resamples of clusters' sums are scored at once. `over_choices` says that the
    vector counts choices, which then have to be the same in all examples.
    """

    statistics: Callable[[str, Example], Floats]
    combine: Callable[[Floats], Floats]
    over_choices: bool = False


@dataclass(frozen=True, slots=True)
class Scorer:
    """A function of an answer and its example; `low` and `high` are None where it has no bound.

    `score` gives one example's number, and the mean over examples is the scorer's figure, but for a
    score of the whole set, `corpus`, whose figure it is near to. `signature` is what makes the
    number besides the name: sacrebleu's own, or the SHA-256 of a user's source.
    """

    name: str
    score: Score
    low: float | None = 0.0
    high: float | None = 1.0
    higher_is_better: bool = True
    corpus: CorpusScore | None = None
    signature: str = ""

    @property
    def is_share(self) -> bool:
        """Say whether scores are shares of 0 to 1, which pages show as points of 100."""
        return (self.low, self.high) == (0.0, 1.0)


def scorer_of(
    name: str, score: Score, corpus: CorpusScore | None = None, signature: str = ""
) -> Scorer:
    """Return one of our scorers, with the range and direction that a study knows it by."""
    kind = SCORERS[name.partition(":")[0]]
    return Scorer(name, score, kind.low, kind.high, kind.higher_is_better, corpus, signature)


def best_of(compare: Callable[[str, str], float]) -> Score:
    """Return the score of the reference that an answer comes nearest to by `compare`."""
    return lambda answer, example: max(
        float(compare(answer, reference)) for reference in references_of(example)
    )


def references_of(example: Example) -> tuple[str, ...]:
    """Return the references; where there is no answer, the right one says nothing."""
    return example.references or ("",)


def statistics_of(
    name: str, corpus: CorpusScore, answers: Sequence[str], examples: Sequence[Example]
) -> Floats:
    """Return the statistics of all examples [examples, S].

    Raises UserError where the statistics count choices and examples have different ones.
    """
    if corpus.over_choices:
        for example in examples:
            if example.choices != examples[0].choices:
                raise UserError(
                    f"evaluate.scorers: {quoted(name)} needs the same choices in all examples, and "
                    f"{example.id!r} has others than {examples[0].id!r}"
                )
    rows = [corpus.statistics(*each) for each in zip(answers, examples, strict=True)]
    return np.stack(rows).astype(np.float64)
