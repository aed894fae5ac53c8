"""The scorer `bits_per_byte`: how well a model predicts the references, whatever its tokens are."""

from math import log

import numpy as np
from numpy.typing import ArrayLike

from lorasweep.data.examples import Example
from lorasweep.scoring.scorers.scorer import CorpusScore, Floats, Scorer, scorer_of

NAME = "bits_per_byte"


def bits_per_byte(nats: ArrayLike, num_bytes: ArrayLike) -> Floats:
    """Return bits a byte [...] from losses in nats [...] and lengths in bytes of UTF-8 [...].

    Raises ValueError where a text has no bytes.
    """
    lengths = np.asarray(num_bytes, np.float64)
    if (lengths <= 0).any():
        raise ValueError("a text without bytes has no bits per byte")
    return np.asarray(np.asarray(nats, np.float64) / (log(2) * lengths))


def statistics(nats: float, reference: str) -> Floats:
    """Return what is added up over examples [2]: a reference's loss in nats, its bytes of UTF-8."""
    return np.array([nats, len(reference.encode())], np.float64)


def scorer() -> Scorer:
    """Return the declaration; its numbers come from losses, by `statistics` and `combine`."""
    return scorer_of(NAME, _needs_losses, CorpusScore(_no_statistics, combine))


def combine(sums: Floats) -> Floats:
    """Return bits per byte [...] of sums of `statistics` [..., 2]."""
    return bits_per_byte(sums[..., 0], sums[..., 1])


def _needs_losses(answer: str, example: Example) -> float:
    raise TypeError(f"{NAME} is read off the losses of references, not off answers")


def _no_statistics(answer: str, example: Example) -> Floats:
    return np.array([_needs_losses(answer, example)])
