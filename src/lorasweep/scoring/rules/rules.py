"""What rules of exact match and F1 are, and the marks that most data sets' scripts share."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Mark = Callable[[str, Sequence[str]], float]


@dataclass(frozen=True, slots=True)
class Rules:
    """How one data set compares an answer with its references, as its own script does.

    `exact_match` and `f1` take an answer and its references, and return 0 to 1. Rules with
    `unanswerable` take no references for a question that has no answer, where "" is right; others
    raise ValueError. `normalise` is what is left of a text before it is compared.
    """

    name: str
    description: str
    normalise: Callable[[str], str]
    exact_match: Mark
    f1: Mark
    unanswerable: bool = False


def overlap_f1(predicted: Sequence[str], expected: Sequence[str]) -> float:
    """Return the F1 of two multisets of tokens, 0 where they share none.

    By precision and recall, in the order of the official scripts' own products, so that the last
    digit is theirs too.
    """
    num_common = (Counter(predicted) & Counter(expected)).total()
    if num_common == 0:
        return 0.0
    precision, recall = num_common / len(predicted), num_common / len(expected)
    return (2 * precision * recall) / (precision + recall)


def exact_match_by(normalise: Callable[[str], str]) -> Mark:
    """Return the mark of equal texts after normalising, the best over the references."""

    def exact_match(prediction: str, references: Sequence[str]) -> float:
        found = normalise(prediction)
        return max(float(found == normalise(reference)) for reference in references)

    return exact_match


def f1_by(tokens: Callable[[str], Sequence[str]]) -> Mark:
    """Return the mark of shared tokens, the best over the references."""

    def f1(prediction: str, references: Sequence[str]) -> float:
        found = tokens(prediction)
        return max(overlap_f1(found, tokens(reference)) for reference in references)

    return f1
