"""How alike the texts of a corpus are: by their form without names, and by the words they share."""

import re
from collections.abc import Iterator, Sequence
from itertools import combinations

# Texts that share more of their words than this differ in too little to be two.
MOST_SHARED = 0.6


def mask_word(word: str, first: bool) -> str:
    """Return the word in lowercase, or an underscore for a name or a number."""
    if any(char.isdigit() for char in word) or (word[0].isupper() and not first):
        return "_"
    return word.lower()


def question_form(question: str) -> str:
    """Return the question with its names and numbers masked and runs of masks merged."""
    words = re.findall(r"[\w'’.,&-]*\w|&", question)
    masked = " ".join(mask_word(word, i == 0) for i, word in enumerate(words))
    return re.sub(r"_(?: (?:& )?_)+", "_", masked)


def most_alike(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs of texts that share most of their words, case and punctuation aside."""
    return list(_alike(texts))


def _alike(texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    known = [(text, frozenset(re.findall(r"[\w\u200c]+", text.lower()))) for text in texts]
    for (text, words), (other, others) in combinations(known, 2):
        if len(words & others) > MOST_SHARED * len(words | others):
            yield text, other
