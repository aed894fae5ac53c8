"""Exact match and F1 by the rules of SQuAD v1.1's official evaluation script (arXiv:1606.05250)."""

import re
import string
from collections import Counter
from collections.abc import Sequence

ARTICLE = re.compile(r"\b(a|an|the)\b")
WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """Return the text in lower case, without ASCII punctuation and articles, white space folded.

    Punctuation goes first, so "a-b" becomes the one word "ab", as in the official script.
    """
    words = text.lower().translate(WITHOUT_PUNCTUATION)
    return " ".join(ARTICLE.sub(" ", words).split())


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """Return 1.0 if the prediction equals one of the answers after normalising, else 0.0.

    Raises ValueError if there are no answers.
    """
    return max(float(normalise(prediction) == normalise(answer)) for answer in answers)


def f1(prediction: str, answers: Sequence[str]) -> float:
    """Return the best F1 (0 to 1) of the prediction's tokens against one of the answers.

    Without a common token F1 is 0, for two empty texts too, as in the v1.1 script.
    Raises ValueError if there are no answers.
    """
    return max(_f1_of_one(prediction, answer) for answer in answers)


def _f1_of_one(prediction: str, answer: str) -> float:
    predicted = normalise(prediction).split()
    expected = normalise(answer).split()
    num_common = (Counter(predicted) & Counter(expected)).total()
    return 2 * num_common / (len(predicted) + len(expected)) if num_common else 0.0
