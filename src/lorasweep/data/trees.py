"""Trees: one paragraph with its questions as one row, the context computed once.

A tree is a trunk (the prompt up to the question) and branches (question, then answer). In a row the
trunk comes first and the branches follow; every branch restarts its positions behind the trunk and
sees the trunk and itself. A tree gives each question's loss as a row of its own would.

Shapes: R rows (trees), T tokens of the longest row, N supervised positions.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lorasweep.data.squad.dataset import Paragraph, Question
from lorasweep.errors import UserError

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


@dataclass(frozen=True, slots=True)
class TreeBuilder:
    """Tokenizes paragraphs into trees.

    `max_tokens` bounds trunk, question and answer together (the model's positions);
    `answer_room` reserves positions for answers that are yet to be generated.
    """

    tokenizer: Any
    prompt: str
    max_tokens: int
    answer_room: int = 0

    def build(self, paragraphs: Iterable[Paragraph], too_long: str = "error") -> Forest:
        """Return the trees of all paragraphs; too long questions are skipped or an error."""
        trees: list[Tree] = []
        skipped: list[_Row] = []
        for paragraph in paragraphs:
            rows = [self._encode(paragraph, question) for question in paragraph.questions]
            kept = [row for row in rows if self._fits(row)]
            skipped.extend(row for row in rows if not self._fits(row))
            trees.extend(_join(paragraph.id, kept, len(self._trunk(paragraph))))
        ids = tuple(row.question.id for row in skipped)
        if ids and too_long == "error":
            raise UserError(
                f"longer than data.max_tokens = {self.max_tokens} tokens"
                f"{self._room()}: {len(ids)} of the questions, the first {ids[0]!r}; "
                'set data.too_long = "skip" to leave them out'
            )
        return Forest(tuple(trees), ids)

    def unanswered(self, context: str, question: str) -> Tree:
        """Return the tree of one question whose answer is yet to be generated.

        Raises UserError where it leaves no room for an answer.
        """
        prompt_ids, _ = self._tokens(self._prompt(context, question))
        if len(prompt_ids) + self.answer_room > self.max_tokens:
            raise UserError(
                f"text and question take {len(prompt_ids)} tokens, and an answer up to "
                f"{self.answer_room}; there is room for {self.max_tokens} in all"
            )
        # The label is no input: it stands for whatever comes.
        branch = Branch("asked", prompt_ids[-1:], (self.tokenizer.eos_token_id,))
        return Tree("asked", prompt_ids[:-1], (branch,))

    def _room(self) -> str:
        return f" with {self.answer_room} for the answer" if self.answer_room else ""

    def _trunk(self, paragraph: Paragraph) -> str:
        head, _ = self.prompt.split("{question}")
        return head.replace("{context}", paragraph.context).rstrip()

    def _prompt(self, context: str, question: str) -> str:
        head, tail = self.prompt.split("{question}")
        return head.replace("{context}", context) + question.strip() + tail

    def _encode(self, paragraph: Paragraph, question: Question) -> "_Row":
        """Tokenize prompt and answer as one string, and cut it where the answer begins."""
        answer = question.answers[0].text.strip() if question.answers else ""
        prompt = self._prompt(paragraph.context, question.text)
        prompt_ids, offsets = self._tokens(prompt)
        full_ids, full_offsets = self._tokens(f"{prompt} {answer}")
        cut = _cut(full_offsets, len(prompt))
        if cut is None or full_ids[:cut] != prompt_ids:
            raise UserError(
                f"question {question.id!r}: the tokenizer joins the end of the prompt and the "
                "beginning of the answer in one token; end data.prompt with another character"
            )
        answer_ids = (*full_ids[cut:], self.tokenizer.eos_token_id)
        # Without a text, the space before it may still be a token.
        if not answer or len(answer_ids) < 2:
            raise UserError(f"question {question.id!r}: its answer has no token to learn from")
        return _Row(question, prompt_ids, offsets, answer_ids)

    def _tokens(self, text: str) -> tuple[tuple[int, ...], list[tuple[int, int]]]:
        """Return token ids and character offsets, without an end token that the tokenizer adds."""
        encoded = self.tokenizer(text, return_offsets_mapping=True, verbose=False)
        ids, offsets = tuple(encoded["input_ids"]), [tuple(o) for o in encoded["offset_mapping"]]
        while len(ids) > 1 and offsets[-1] == (0, 0):
            ids, offsets = ids[:-1], offsets[:-1]
        return ids, offsets

    def _fits(self, row: "_Row") -> bool:
        return len(row.prompt_ids) + max(len(row.answer_ids), self.answer_room) <= self.max_tokens


@dataclass(frozen=True, slots=True)
class _Row:
    question: Question
    prompt_ids: tuple[int, ...]
    offsets: list[tuple[int, int]]
    answer_ids: tuple[int, ...]


def _cut(offsets: Sequence[tuple[int, int]], place: int) -> int | None:
    """Return how many tokens lie before a character, or None if the place is inside a token.

    A token's offsets may or may not count the space before its word, so a token that starts at the
    place or behind it is behind the cut.
    """
    count = sum(1 for start, _ in offsets if start < place)
    inside = any(start < place < end for start, end in offsets)
    return None if inside else count


def _join(paragraph_id: str, rows: list[_Row], trunk_end: int) -> list[Tree]:
    """Return one tree for rows that share a trunk, or else a tree for each row."""
    if not rows:
        return []
    cuts = [_cut(row.offsets, trunk_end) for row in rows]
    trunks = {row.prompt_ids[:cut] for row, cut in zip(rows, cuts, strict=True)}
    if None in cuts or len(trunks) > 1 or not all(trunks):
        return [_tree(f"{paragraph_id}#{row.question.id}", [row], 1) for row in rows]
    return [_tree(paragraph_id, rows, len(trunks.pop()))]


def _tree(tree_id: str, rows: list[_Row], cut: int) -> Tree:
    branches = tuple(Branch(r.question.id, r.prompt_ids[cut:], r.answer_ids) for r in rows)
    return Tree(tree_id, rows[0].prompt_ids[:cut], branches)


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
