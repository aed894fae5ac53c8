"""Answers as text: generated tokens, cut where an answer stops."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lorasweep.data.trees import Tree
from lorasweep.model.base import Base


@dataclass(frozen=True, slots=True)
class Answer:
    """A decoded answer: its text up to the first line break, and whether the end token came.

    `draw` counts the answers that a sampling decoder gives to one question.
    """

    question_id: str
    text: str
    ended: bool
    token_ids: tuple[int, ...]
    draw: int = 0


def lanes_answers(
    base: Base, trees: Sequence[Tree], tokens_KRSN: Tensor, draws: int = 1
) -> list[list[Answer]]:
    """Read the answers of every lane; the draws of a branch stand side by side."""
    return [
        [
            read_answer(base, branch.question_id, tokens_SN[number * draws + draw], draw)
            for tree, tokens_SN in zip(trees, tokens_RSN, strict=True)
            for number, branch in enumerate(tree.branches)
            for draw in range(draws)
        ]
        for tokens_RSN in tokens_KRSN.tolist()
    ]


def read_answer(base: Base, question_id: str, tokens: list[int], draw: int = 0) -> Answer:
    """Cut generated tokens at the first end token or line break, and read their text."""
    for place, token in enumerate(tokens):
        if token == base.end_id:
            before = tokens[:place]
            return Answer(question_id, base.text(before).strip(), True, tuple(before), draw)
        if base.breaks_line(token):
            tokens = tokens[: place + 1]
            break
    text = base.text(tokens).split("\n")[0].strip()
    return Answer(question_id, text, False, tuple(tokens), draw)


def stops(base: Base, tokens: Tensor) -> Tensor:
    """Say for each token whether an answer stops at it: the end token or a line break."""
    end_id = base.end_id
    found = [t == end_id or base.breaks_line(t) for t in tokens.flatten().tolist()]
    return torch.tensor(found, device=tokens.device).view(tokens.shape)
