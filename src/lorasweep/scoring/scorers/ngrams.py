"""Scorers of shared n-grams by sacrebleu: chrF, and BLEU; each of an example and of a whole set.

sacrebleu's points of 100 are shares of 1 here, as all scores are.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lorasweep.data.examples import Example
from lorasweep.scoring.scorers.scorer import (
    CorpusScore,
    Floats,
    Scorer,
    references_of,
    scorer_of,
)

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

ORDER = 4


def chrf() -> Scorer:
    """Return the scorer chrF (Popović 2015, doi:10.18653/v1/W15-3049), as sacrebleu computes it."""
    from sacrebleu.metrics.chrf import CHRF

    metric = CHRF()

    def score(answer: str, example: Example) -> float:
        return float(metric.sentence_score(answer, references_of(example)).score) / 100

    def statistics(answer: str, example: Example) -> Floats:
        # The counts are what corpus_score adds up; sacrebleu's scores do not hold them.
        references = [[reference] for reference in references_of(example)]
        (counts,) = metric._extract_corpus_statistics([answer], references)
        return np.array(counts, dtype=np.float64)

    return scorer_of(
        "chrf", score, CorpusScore(statistics, chrf_of_counts), signature=_signature(CHRF())
    )


def bleu() -> Scorer:
    """Return the scorer BLEU (Papineni et al. 2002, doi:10.3115/1073083.1073135) by sacrebleu.

    Of one example it is sentence BLEU, with the effective order that sacrebleu advises for it.
    """
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU(effective_order=True)

    def score(answer: str, example: Example) -> float:
        return float(metric.sentence_score(answer, references_of(example)).score) / 100

    def statistics(answer: str, example: Example) -> Floats:
        found = metric.sentence_score(answer, references_of(example))
        return np.array([found.sys_len, found.ref_len, *found.counts, *found.totals], np.float64)

    return scorer_of(
        "bleu", score, CorpusScore(statistics, bleu_of_counts), signature=_signature(BLEU())
    )


def chrf_of_counts(counts: Floats) -> Floats:
    """Return chrF from sums [..., 3 * orders] of n-grams answered, expected and shared, by order.

    Precision and recall are means over the orders that both sides have; beta is 2.
    """
    triples = np.asarray(counts, np.float64).reshape(*np.shape(counts)[:-1], -1, 3)
    answered, expected, shared = np.moveaxis(triples, -1, 0)
    has_order = (answered > 0) & (expected > 0)
    num_orders = np.maximum(1, has_order.sum(axis=-1))
    precision = _quotient(shared, answered, has_order).sum(axis=-1) / num_orders
    recall = _quotient(shared, expected, has_order).sum(axis=-1) / num_orders
    both = 4 * precision + recall
    return _quotient(5 * precision * recall, both, both > 0)


def bleu_of_counts(counts: Floats) -> Floats:
    """Return BLEU from sums [..., 10] of lengths, of n-grams shared and answered, by order.

    An order without a match gets half the share of the one before it (smoothing "exp"); without
    any match, or where no answer is as long as the highest order, the score is 0.
    """
    sums = np.asarray(counts, np.float64)
    answered_length, expected_length = sums[..., 0], sums[..., 1]
    shared, answered = sums[..., 2 : 2 + ORDER], sums[..., 2 + ORDER :]
    halvings = 0.5 ** np.cumsum(shared == 0, axis=-1)
    precision = _quotient(np.where(shared == 0, halvings, shared), answered, answered > 0)
    is_scored = np.asarray(shared.any(axis=-1) & (answered > 0).all(axis=-1))
    logs = np.log(np.where(is_scored[..., None], precision, 1.0)).mean(axis=-1)
    ratio = _quotient(expected_length, answered_length, answered_length > 0)
    return np.where(is_scored, np.exp(np.minimum(0.0, 1 - ratio) + logs), 0.0)


def _quotient(numerator: Floats, denominator: Floats, where: NDArray[np.bool_]) -> Floats:
    return np.divide(numerator, denominator, out=np.zeros_like(denominator), where=where)


def _signature(metric: "Metric") -> str:
    """Return sacrebleu's signature, for sets whose examples have any number of references."""
    metric.num_refs = -1
    return str(metric.get_signature())
