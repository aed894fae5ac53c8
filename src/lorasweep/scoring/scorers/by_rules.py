"""Scorers that compare as the rules of a data set do: exact_match, f1, contains."""

from lorasweep.scoring.rules.rules import Rules
from lorasweep.scoring.scorers.scorer import Scorer, best_of, references_of, scorer_of


def exact_match(rules: Rules) -> Scorer:
    """Return the scorer of equal texts, by the rules."""
    return scorer_of(
        "exact_match", lambda answer, example: rules.exact_match(answer, references_of(example))
    )


def f1(rules: Rules) -> Scorer:
    """Return the scorer of shared words, or characters, by the rules."""
    return scorer_of("f1", lambda answer, example: rules.f1(answer, references_of(example)))


def contains(rules: Rules) -> Scorer:
    """Return the scorer of answers that hold a reference, both normalised by the rules.

    A reference that normalises to nothing is held by an answer that does too.
    """

    def holds(answer: str, reference: str) -> float:
        found, sought = rules.normalise(answer), rules.normalise(reference)
        return float(sought in found if sought else not found)

    return scorer_of("contains", best_of(holds))
