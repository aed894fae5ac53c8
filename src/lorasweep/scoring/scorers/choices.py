"""Scorers of choices: accuracy, and over a whole set macro-F1 and Matthews' correlation.

The set's scores come from a confusion matrix [L, L + 1]: a row for each right choice, a column for
each answer, and one for answers that are no choice.
"""

from collections.abc import Callable
from math import isqrt

import numpy as np

from lorasweep.data.examples import Example
from lorasweep.errors import UserError, quoted
from lorasweep.scoring.scorers.scorer import (
    CorpusScore,
    Floats,
    Scorer,
    best_of,
    references_of,
    scorer_of,
)


def choice() -> Scorer:
    """Return the scorer of answers that are the right choice, white space around them aside."""
    return scorer_of("choice", best_of(_same))


def macro_f1() -> Scorer:
    """Return the scorer of the mean F1 over the choices that are right or answered anywhere.

    Of one example it is `choice`.
    """
    return _over_choices("macro_f1", _mean_f1)


def mcc() -> Scorer:
    """Return the scorer of Matthews' correlation for any number of choices, -1 to 1.

    R_K of Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006; 0 where all right choices, or all
    answers, are the same. Of one example it is `choice`.
    """
    return _over_choices("mcc", _correlation)


def confusion(answer: str, example: Example) -> Floats:
    """Return an example's confusion matrix as a vector [L * (L + 1)] of one 1 and zeros."""
    labels = [choice.strip() for choice in example.choices]
    right = references_of(example)[0].strip()
    if right not in labels:
        raise UserError(
            f"example {example.id!r}: the right choice {quoted(right)} is none of its choices"
        )
    counts = np.zeros((len(labels), len(labels) + 1))
    answered = answer.strip()
    column = labels.index(answered) if answered in labels else len(labels)
    counts[labels.index(right), column] = 1
    return counts.ravel()


def as_matrix(counts: Floats) -> Floats:
    """Return sums of confusion vectors [..., L * (L + 1)] as matrices [..., L, L + 1]."""
    num_labels = isqrt(counts.shape[-1])
    return counts.reshape(*counts.shape[:-1], num_labels, num_labels + 1)


def _over_choices(name: str, combine: Callable[[Floats], Floats]) -> Scorer:
    return scorer_of(name, best_of(_same), CorpusScore(confusion, combine, over_choices=True))


def _mean_f1(counts: Floats) -> Floats:
    right, expected, answered = _margins(counts)
    both = expected + answered
    occurs = both > 0
    f1 = np.divide(2 * right, both, out=np.zeros_like(both), where=occurs)
    return np.asarray(f1.sum(axis=-1) / np.maximum(1, occurs.sum(axis=-1)))


def _correlation(counts: Floats) -> Floats:
    right, expected, answered = _margins(counts)
    total = expected.sum(axis=-1)
    # Answers that are no choice are a class of their own, which is never right.
    others = total - answered.sum(axis=-1)
    shared = right.sum(axis=-1) * total - (expected * answered).sum(axis=-1)
    of_answers = total**2 - (answered**2).sum(axis=-1) - others**2
    of_right = total**2 - (expected**2).sum(axis=-1)
    scale = np.sqrt(of_answers * of_right)
    return np.asarray(np.divide(shared, scale, out=np.zeros_like(scale), where=scale > 0))


def _margins(counts: Floats) -> tuple[Floats, Floats, Floats]:
    """Return how often each label [..., L] was answered rightly, was right, and was answered."""
    matrix = as_matrix(np.asarray(counts, dtype=np.float64))
    right = np.diagonal(matrix, axis1=-2, axis2=-1)
    return right, matrix.sum(axis=-1), matrix[..., :-1].sum(axis=-2)


def _same(answer: str, reference: str) -> float:
    return float(answer.strip() == reference.strip())
