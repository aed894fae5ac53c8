"""Questions on paragraphs as tests write them."""

from collections.abc import Sequence
from typing import NamedTuple

from lorasweep.data.examples import Example


class Placed(NamedTuple):
    """A reference and its place in the context."""

    text: str
    start: int


def question_of(question_id: str, text: str, placed: Sequence[tuple[str, int]]) -> Example:
    """Return a question with its references and their places."""
    return Example(
        question_id, text, tuple(text for text, _ in placed), tuple(start for _, start in placed)
    )
