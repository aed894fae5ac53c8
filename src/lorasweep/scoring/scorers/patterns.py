"""The scorer `regex:PATTERN`: what a pattern finds in an answer against what it finds beside it."""

import re

from lorasweep.scoring.scorers.scorer import Scorer, best_of, scorer_of


def regex(pattern: str) -> Scorer:
    """Return the scorer of equal matches: the first group of a pattern's first match, or all of it.

    Where a reference has no match, the answer's match is compared with the reference itself, so
    that "regex:answer is (\\w+)" reads answers to plain references. An answer without a match is
    wrong.
    """
    compiled = re.compile(pattern)

    def equal(answer: str, reference: str) -> float:
        found, sought = _match(compiled, answer), _match(compiled, reference)
        sought = reference if sought is None else sought
        return float(found is not None and found.strip() == sought.strip())

    return scorer_of(f"regex:{pattern}", best_of(equal))


def _match(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    if found is None:
        return None
    return found[1] if pattern.groups and found[1] is not None else found[0]
