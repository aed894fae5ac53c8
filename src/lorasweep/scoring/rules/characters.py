"""Rules that compare characters instead of words: KorQuAD 1.0, JaQuAD, PersianQA's second way."""

import string
from collections.abc import Sequence

from lorasweep.scoring.rules.rules import Rules, exact_match_by, f1_by, overlap_f1

MARKS_TO_SPACES = str.maketrans(dict.fromkeys("'\"《》<>〈〉()‘’", " "))
WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)
ZERO_WIDTH_NON_JOINER = "\u200c"


def korquad() -> Rules:
    """Return the rules of KorQuAD 1.0's evaluation script (arXiv:1909.07005)."""
    return Rules(
        name="korquad",
        description="KorQuAD 1.0's script: quotes and brackets are spaces, no articles, F1 over "
        "characters",
        normalise=_korean,
        exact_match=exact_match_by(_korean),
        f1=f1_by(lambda text: _characters(_korean(text))),
    )


def jaquad() -> Rules:
    """Return the rules of JaQuAD's notebook (arXiv:2202.01764): the first reference alone counts.

    A match is an F1 of 1, so an anagram of the reference is one too.
    """

    def f1(prediction: str, references: Sequence[str]) -> float:
        if not references:
            raise ValueError("there are no references")
        return overlap_f1(_characters(prediction), _characters(references[0]))

    return Rules(
        name="jaquad",
        description="JaQuAD's script: texts as they are, F1 over characters without spaces, the "
        "first reference alone; a match is an F1 of 1",
        normalise=_characters,
        exact_match=lambda prediction, references: float(f1(prediction, references) == 1),
        f1=f1,
    )


def persianqa_chars() -> Rules:
    """Return PersianQA's second way (src/evaluation.py): F1 over characters, spaces too.

    A right "no answer" has a match of 1 and an F1 of 0, as there.
    """
    exact_match, f1 = exact_match_by(without_zero_width), f1_by(without_zero_width)
    return Rules(
        name="persianqa-chars",
        description="PersianQA's script, second way: zero-width non-joiners are spaces, F1 over "
        "characters, spaces among them",
        normalise=without_zero_width,
        exact_match=lambda prediction, references: exact_match(prediction, references or [""]),
        f1=lambda prediction, references: f1(prediction, references or [""]),
        unanswerable=True,
    )


def without_zero_width(text: str) -> str:
    """Return a text as PersianQA cleans it: zero-width non-joiners are spaces, ends stripped."""
    return text.replace(ZERO_WIDTH_NON_JOINER, " ").strip()


def _korean(text: str) -> str:
    kept = text.translate(MARKS_TO_SPACES).lower().translate(WITHOUT_PUNCTUATION)
    return " ".join(kept.split())


def _characters(text: str) -> str:
    return "".join(text.split())
