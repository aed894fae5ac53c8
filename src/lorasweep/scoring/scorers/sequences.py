"""Scorers of order: ROUGE-L over words of any script, and edit similarity over characters."""

import regex

from lorasweep.scoring.scorers.scorer import Scorer, best_of, scorer_of

# Scripts that put no spaces between words are read by the grapheme, and so are emoji; elsewhere a
# word is letters, marks and digits, which on ASCII are the words of rouge-score.
BY_GRAPHEME = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
WORD = regex.compile(
    rf"(?=[[{BY_GRAPHEME}]&&[\p{{L}}\p{{N}}]]|\p{{Emoji_Presentation}})\X"
    rf"|[[\p{{L}}\p{{M}}\p{{N}}]--[[{BY_GRAPHEME}]&&[\p{{L}}\p{{N}}]]]+",
    regex.VERSION1,
)


class Words:
    """rouge-score's tokenizer for words of any script."""

    def tokenize(self, text: str) -> list[str]:
        """Return the words in lower case; marks, spaces and punctuation part them."""
        return list(WORD.findall(text.lower()))


def rouge_l() -> Scorer:
    """Return the scorer ROUGE-L (Lin 2004): the F1 of the longest common subsequence of words."""
    from rouge_score.rouge_scorer import RougeScorer

    rouge = RougeScorer(["rougeL"], tokenizer=Words())
    return scorer_of(
        "rouge-l", best_of(lambda answer, text: rouge.score(text, answer)["rougeL"].fmeasure)
    )


def edit() -> Scorer:
    """Return the scorer 1 - Levenshtein distance / the longer length, in characters."""
    from rapidfuzz.distance import Levenshtein

    return scorer_of(
        "edit", best_of(lambda answer, text: Levenshtein.normalized_similarity(answer, text))
    )
