"""The rules of SQuAD v1.1 and v2.0, and of the data sets that score by these."""

from collections.abc import Callable, Sequence

from lorasweep.scoring.metrics import exact_match, f1, normalise
from lorasweep.scoring.rules.characters import without_zero_width
from lorasweep.scoring.rules.folding import folding_of
from lorasweep.scoring.rules.rules import Rules, overlap_f1

OF_V1 = (
    "SQuAD v1.1's script: lower case, without ASCII punctuation and English articles, F1 over words"
)


def squad_v1(name: str = "squad-v1.1") -> Rules:
    """Return the rules of SQuAD v1.1 (arXiv:1606.05250), which XQuAD takes for every language."""
    return Rules(name, OF_V1, normalise, exact_match, f1)


def squad_v2() -> Rules:
    """Return the rules of SQuAD v2.0's evaluate-v2.0.py (arXiv:1806.03822)."""
    return _squad_v2_after(
        lambda text: text,
        "squad-v2",
        "SQuAD v2.0's script: as v1.1, and where a question has no answer, an empty one is right",
    )


def persianqa() -> Rules:
    """Return PersianQA's first way (src/evaluation.py): SQuAD v2.0's after its cleaning."""
    return _squad_v2_after(
        without_zero_width,
        "persianqa",
        "PersianQA's script, first way: zero-width non-joiners are spaces, then as SQuAD v2.0",
    )


def folded(language: str) -> Rules:
    """Return SQuAD v1.1's rules after one way of writing a letter, a digit or a mark was chosen.

    No data set's own script does so: a second opinion beside the official figures.
    """
    fold = folding_of(language)
    return Rules(
        name=f"folded:{language}",
        description=f"as SQuAD v1.1 after folding ways to write letters, digits and marks in "
        f"{language!r}; no data set's own",
        normalise=lambda text: normalise(fold(text)),
        exact_match=lambda text, references: exact_match(fold(text), list(map(fold, references))),
        f1=lambda text, references: f1(fold(text), list(map(fold, references))),
    )


def _squad_v2_after(clean: Callable[[str], str], name: str, description: str) -> Rules:
    def normalised(text: str) -> str:
        return normalise(clean(text))

    def golds(references: Sequence[str]) -> list[str]:
        """Return the references that do not normalise to nothing, or nothing as the one."""
        return [found for reference in references if (found := normalised(reference))] or [""]

    def match(prediction: str, references: Sequence[str]) -> float:
        return float(normalised(prediction) in golds(references))

    def best_f1(prediction: str, references: Sequence[str]) -> float:
        found = normalised(prediction).split()
        return max(_f1_or_both_empty(found, gold.split()) for gold in golds(references))

    return Rules(name, description, normalised, match, best_f1, unanswerable=True)


def _f1_or_both_empty(predicted: Sequence[str], expected: Sequence[str]) -> float:
    if not predicted or not expected:
        return float(not predicted and not expected)
    return overlap_f1(predicted, expected)
