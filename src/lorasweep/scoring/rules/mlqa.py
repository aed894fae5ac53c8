"""MLQA's rules: punctuation of all scripts, articles by language, Chinese by the character.

As in mlqa_evaluation_v1.py of facebookresearch/MLQA (arXiv:1910.07475).
"""

import re
import string
import unicodedata
from functools import lru_cache

from lorasweep.scoring.rules.rules import Rules, exact_match_by, f1_by

ARTICLES = {
    "en": r"\b(a|an|the)\b",
    "es": r"\b(un|una|unos|unas|el|la|los|las)\b",
    "vi": r"\b(của|là|cái|chiếc|những)\b",
    "de": r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    # The script's pattern has two branches of which one cannot match: every "ال" goes, also inside
    # words.
    "ar": "ال",
}
WITHOUT_SPACES = ("zh",)
HAN = re.compile("[\u4e00-\u9fa5]")


def mlqa(language: str) -> Rules:
    """Return MLQA's rules for answers in a language."""

    def normalise(text: str) -> str:
        kept = "".join(c for c in text.lower() if not _is_punctuation(c))
        if language in ARTICLES:
            kept = re.sub(ARTICLES[language], " ", kept)
        if language in WITHOUT_SPACES:
            kept = HAN.sub(r" \g<0> ", kept)
        return " ".join(kept.split())

    return Rules(
        name=f"mlqa:{language}",
        description=f"MLQA's script for answers in {language!r}: without punctuation of any "
        "script, articles of the language dropped; Chinese characters are words",
        normalise=normalise,
        exact_match=exact_match_by(normalise),
        f1=f1_by(lambda text: normalise(text).split()),
    )


@lru_cache(maxsize=2**16)
def _is_punctuation(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character).startswith("P")
