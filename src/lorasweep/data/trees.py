"""Trees: one paragraph with its questions as one row, the context computed once.

A tree is a trunk (the prompt up to the question) and branches (question, then answer). In a row the
trunk comes first and the branches follow; every branch restarts its positions behind the trunk and
sees the trunk and itself. A tree gives each question's loss as a row of its own would.

Shapes: R rows (trees), T tokens of the longest row, N supervised positions.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

TRUNK, PADDING = -1, -2
# Rows are padded to multiples of so many tokens: new shapes cost a card time, in plans and memory.
WIDTHS = {"cpu": 1, "cuda": 32}


@dataclass(frozen=True, slots=True)
class Branch:
    """A question behind its trunk; `answer_ids` ends with the end token."""

    question_id: str
    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]

    @property
    def input_ids(self) -> tuple[int, ...]:
        """The tokens that are computed: the last answer token is only ever a label."""
        return self.prompt_ids + self.answer_ids[:-1]


@dataclass(frozen=True, slots=True)
class Tree:
    """A trunk and its branches; `id` names the paragraph.

    A tree may be a part of a larger one, of the same id: `skipped` tokens of branches stand before
    its own there.
    """

    id: str
    trunk_ids: tuple[int, ...]
    branches: tuple[Branch, ...]
    skipped: int = 0

    @property
    def num_tokens(self) -> int:
        """Tokens of the row, the trunk counted once."""
        return len(self.trunk_ids) + sum(len(b.input_ids) for b in self.branches)

    @property
    def num_answer_tokens(self) -> int:
        """Supervised tokens, the end tokens among them."""
        return sum(len(b.answer_ids) for b in self.branches)


@dataclass(frozen=True, slots=True)
class Forest:
    """The trees of a data set, and the ids of the questions left out because they are too long."""

    trees: tuple[Tree, ...]
    too_long: tuple[str, ...] = ()

    @property
    def num_questions(self) -> int:
        """Questions in all trees."""
        return sum(len(tree.branches) for tree in self.trees)


def separate_rows(trees: Iterable[Tree]) -> tuple[Tree, ...]:
    """Return a tree of one branch for every question: the same questions, nothing shared."""
    return tuple(
        Tree(f"{tree.id}#{branch.question_id}", tree.trunk_ids, (branch,))
        for tree in trees
        for branch in tree.branches
    )


@dataclass(frozen=True, slots=True)
class Rows:
    """Trees laid out as padded rows for the model, with what is supervised.

    `owner_RT` says whose token it is: TRUNK, the branch's number in its tree, or PADDING.
    `answer_index_N` are places in the flattened [R * T] rows whose logits predict `labels_N`.
    """

    trees: tuple[Tree, ...]
    input_ids_RT: Tensor
    position_ids_RT: Tensor
    owner_RT: Tensor
    answer_index_N: Tensor
    labels_N: Tensor

    def answer_index_of(self, num_lanes: int) -> Tensor:
        """Return [K * N]: `answer_index_N` in the rows of every lane, [K * R * T]."""
        first_K1 = torch.arange(num_lanes, device=self.owner_RT.device)[:, None]
        return (first_K1 * self.owner_RT.numel() + self.answer_index_N).flatten()

    @property
    def mask_R1TT(self) -> Tensor:
        """True where a query (third axis) sees a key (fourth axis); padding sees itself."""
        owner = self.owner_RT
        same = (owner[:, None, :] == owner[:, :, None]) | (owner[:, None, :] == TRUNK)
        past = torch.ones(same.shape[1:], dtype=torch.bool, device=owner.device).tril()
        itself = torch.eye(past.shape[0], dtype=torch.bool, device=owner.device)
        real = owner != PADDING
        return ((same & past & real[:, None, :]) | itself)[:, None]


def padded_width(num_tokens: int, device: torch.device | str) -> int:
    """Return the tokens of rows of which the longest has so many."""
    step = WIDTHS[torch.device(device).type]
    return math.ceil(num_tokens / step) * step


def lay_out(trees: Sequence[Tree], device: torch.device | str = "cpu") -> Rows:
    """Lay trees out as rows padded to the longest, and on a card to one of few widths."""
    width = padded_width(max(tree.num_tokens for tree in trees), device)
    ids: list[list[int]] = []
    positions: list[list[int]] = []
    owners: list[list[int]] = []
    index: list[int] = []
    labels: list[int] = []
    for r, tree in enumerate(trees):
        row = _row(tree)
        padding = width - len(row.ids)
        ids.append(row.ids + [0] * padding)
        positions.append(row.positions + [0] * padding)
        owners.append(row.owners + [PADDING] * padding)
        index.extend(r * width + place for place in row.predicting)
        labels.extend(row.labels)
    # Made here and then moved: made there, each would wait for all that the card was given before.
    lists = (ids, positions, owners, index, labels)
    tensors = (torch.tensor(v).to(device, non_blocking=True) for v in lists)
    return Rows(tuple(trees), *tensors)


@dataclass(slots=True)
class _RowLists:
    ids: list[int]
    positions: list[int]
    owners: list[int]
    predicting: list[int]
    labels: list[int]


def _row(tree: Tree) -> _RowLists:
    trunk = len(tree.trunk_ids)
    row = _RowLists(list(tree.trunk_ids), list(range(trunk)), [TRUNK] * trunk, [], [])
    for number, branch in enumerate(tree.branches):
        first_answer = len(row.ids) + len(branch.prompt_ids) - 1
        row.predicting.extend(range(first_answer, first_answer + len(branch.answer_ids)))
        row.labels.extend(branch.answer_ids)
        row.positions.extend(range(trunk, trunk + len(branch.input_ids)))
        row.owners.extend([number] * len(branch.input_ids))
        row.ids.extend(branch.input_ids)
    return row
