"""References that no answer can equal, however good: counted before anything is trained."""

from collections.abc import Iterator, Mapping
from typing import Any

from lorasweep.data.examples import Dataset
from lorasweep.data.sources.json_text import shown
from lorasweep.running.question_sets import QuestionSet
from lorasweep.scoring.metrics import normalise

# The roles whose questions are answered by generation.
ANSWERED = ("eval", "test")


def unreachable_warnings(
    sets: Mapping[str, QuestionSet], tokenizer: Any, max_new_tokens: int
) -> list[str]:
    """Say how many references hold a line break, are too long, or have text that is no token."""
    return [
        warning
        for role in ANSWERED
        if role in sets
        for warning in _warnings(role, _references(sets[role].data), tokenizer, max_new_tokens)
    ]


def _references(dataset: Dataset) -> list[str]:
    return [text.strip() for g in dataset.groups for e in g.examples for text in e.references]


def _warnings(
    role: str, references: list[str], tokenizer: Any, max_new_tokens: int
) -> Iterator[str]:
    of_all = f"of {len(references):,} {role} references"
    broken = [text for text in references if "\n" in text]
    if broken:
        yield (
            f"{len(broken):,} {of_all} hold a line break, where an answer ends: no answer equals "
            f"them (such as {shown(broken[0])})"
        )
    texts = [f" {text}" for text in references if "\n" not in text]
    # What follows a prompt's end is one text with the space before it.
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
    longest = max(map(len, ids), default=0)
    if longest > max_new_tokens:
        count = sum(len(each) > max_new_tokens for each in ids)
        yield (
            f"{count:,} {of_all} take more than evaluate.max_new_tokens = {max_new_tokens} tokens, "
            f"so answers are cut off before they equal them; the longest takes {longest}"
        )
    lost = [text for text, each in zip(texts, ids, strict=True) if _is_lost(text, each, tokenizer)]
    if lost:
        yield (
            f"{len(lost):,} {of_all} hold characters that the model's tokenizer cannot give back: "
            f"no answer equals them (such as {shown(lost[0].strip())})"
        )


def _is_lost(text: str, ids: list[int], tokenizer: Any) -> bool:
    back = str(tokenizer.decode(ids, clean_up_tokenization_spaces=False))
    return normalise(back) != normalise(text)
