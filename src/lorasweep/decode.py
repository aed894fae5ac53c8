"""Decoding: all questions of a tree answered in one row, from one pass over their context.

A row is a tree's trunk and the prompts of its branches; then every branch grows by a token at a
time, and sees the trunk and itself. With a pack's adapters attached, all lanes answer together.

Shapes: K lanes, R rows (trees), Q branches of the widest row, T tokens computed in this pass, C
tokens in the cache.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from lorasweep.base import Base
from lorasweep.ops.attention import bias_of
from lorasweep.trees import PADDING, TRUNK, Branch, Tree, lay_out, micro_batches


@dataclass(frozen=True, slots=True)
class Answer:
    """A decoded answer: its text up to the first line break, and whether the end token came."""

    question_id: str
    text: str
    ended: bool
    token_ids: tuple[int, ...]


def decode_greedy(
    base: Base, trees: Sequence[Tree], num_lanes: int, max_new_tokens: int, max_tokens: int
) -> Iterator[list[list[Answer]]]:
    """Answer the trees' questions greedily; yields a micro-batch's answers per lane.

    A question stops at the end token, at the first token whose text holds a line break, or after
    `max_new_tokens`. `max_tokens` bounds a micro-batch (all lanes, with padding). In fp32 the
    tokens are those of transformers' generate(do_sample=False), one question at a time.
    """
    width = max(1, max_tokens // num_lanes)
    for group in micro_batches([prompts_of(tree) for tree in trees], width):
        yield _greedy(GrowingRows(base, group, num_lanes), max_new_tokens)


def prompts_of(tree: Tree) -> Tree:
    """Return the tree without its answers: a one-token answer is only a label, never an input."""
    branches = tuple(Branch(b.question_id, b.prompt_ids, b.answer_ids[:1]) for b in tree.branches)
    return Tree(tree.id, tree.trunk_ids, branches)


class GrowingRows:
    """The rows of one micro-batch while they grow by a token per branch, a copy for every lane.

    `prefill` computes trunks and prompts, `grow` appends one token to every branch; both return
    the logits [K, R, Q, V] of every branch's next token (anything where a row has no branch).
    """

    def __init__(self, base: Base, trees: Sequence[Tree], num_lanes: int) -> None:
        self.base, self.trees, self.num_lanes = base, trees, num_lanes
        self.cache: Any = DynamicCache(config=base.model.config)
        self.rows = lay_out(trees, base.device)
        self.owner_RC = self.rows.owner_RT
        self.branch_RQ = self._branch_numbers()
        self.position_RQ = self._first_positions()

    def _branch_numbers(self) -> Tensor:
        """Return [R, Q]: the number of each branch in its tree, PADDING where there is none."""
        counts = torch.tensor([len(tree.branches) for tree in self.trees], device=self.base.device)
        numbers = torch.arange(int(counts.max()), device=self.base.device)
        return torch.where(numbers < counts[:, None], numbers, PADDING)

    def _first_positions(self) -> Tensor:
        """Return [R, Q]: the position of each branch's first answer token."""
        first = torch.zeros_like(self.branch_RQ)
        for r, tree in enumerate(self.trees):
            for q, branch in enumerate(tree.branches):
                first[r, q] = len(tree.trunk_ids) + len(branch.prompt_ids)
        return first

    def prefill(self) -> Tensor:
        """Compute trunks and prompts; return the logits of every branch's first answer token."""
        rows = self.rows
        hidden = self._forward(rows.input_ids_RT.repeat(self.num_lanes, 1), rows.position_ids_RT,
                               rows.mask_R1TT)  # fmt: skip
        logits_KNV = self.base.head(hidden.flatten(1, 2)[:, rows.answer_index_N])
        real = self.branch_RQ != PADDING
        logits = logits_KNV.new_zeros(self.num_lanes, *real.shape, logits_KNV.shape[-1])
        logits[:, real] = logits_KNV
        return logits

    def grow(self, tokens_KRQ: Tensor) -> Tensor:
        """Append a token to every branch; return the logits of the token after it."""
        self.owner_RC = torch.cat([self.owner_RC, self.branch_RQ], dim=1)
        hidden = self._forward(tokens_KRQ.flatten(0, 1), self.position_RQ, self._step_mask())
        # Branches that have stopped still take a place in their row, never one behind the last.
        self.position_RQ = (self.position_RQ + 1).clamp_(max=self.base.max_tokens - 1)
        return self.base.head(hidden)

    def _step_mask(self) -> Tensor:
        """Return [R, 1, Q, C]: a branch's token sees the trunk and its own branch."""
        owner, mine = self.owner_RC[:, None, :], self.branch_RQ[:, :, None]
        seen = (owner == TRUNK) | ((owner == mine) & (mine != PADDING))
        columns, queries = owner.shape[-1], mine.shape[1]
        itself = torch.arange(columns, device=owner.device) == (
            torch.arange(queries, device=owner.device)[:, None] + columns - queries
        )
        return (seen | itself)[:, None]

    def _forward(self, input_ids: Tensor, position_ids_RT: Tensor, mask_R1TC: Tensor) -> Tensor:
        """Return hidden states [K, R, T, width] of the computed tokens."""
        hidden: Tensor = self.base.body(
            input_ids=input_ids,
            position_ids=position_ids_RT.repeat(self.num_lanes, 1),
            attention_mask=bias_of(mask_R1TC, self.base.model.dtype),
            past_key_values=self.cache,
            use_cache=True,
        ).last_hidden_state
        return hidden.view(self.num_lanes, -1, *hidden.shape[1:])


@torch.inference_mode()
def _greedy(rows: GrowingRows, max_new_tokens: int) -> list[list[Answer]]:
    """Grow all branches by their likeliest tokens until each has stopped."""
    base = rows.base
    tokens_KRQ = rows.prefill().argmax(-1)
    done_KRQ = (rows.branch_RQ == PADDING).expand_as(tokens_KRQ).clone()
    chosen = []
    for step in range(max_new_tokens):
        chosen.append(tokens_KRQ)
        done_KRQ |= _stops(base, tokens_KRQ)
        if bool(done_KRQ.all()) or step + 1 == max_new_tokens:
            break
        tokens_KRQ = rows.grow(tokens_KRQ).argmax(-1).masked_fill(done_KRQ, base.end_id)
    tokens_KRQS: list[list[list[list[int]]]] = torch.stack(chosen, dim=-1).tolist()
    return [_lane_answers(base, rows.trees, lane) for lane in tokens_KRQS]


def _stops(base: Base, tokens: Tensor) -> Tensor:
    stops = [t == base.end_id or base.breaks_line(t) for t in tokens.flatten().tolist()]
    return torch.tensor(stops, device=tokens.device).view(tokens.shape)


def _lane_answers(
    base: Base, trees: Sequence[Tree], tokens_RQS: list[list[list[int]]]
) -> list[Answer]:
    return [
        read_answer(base, branch.question_id, tokens)
        for tree, tokens_QS in zip(trees, tokens_RQS, strict=True)
        for branch, tokens in zip(tree.branches, tokens_QS, strict=False)
    ]


def read_answer(base: Base, question_id: str, tokens: list[int]) -> Answer:
    """Cut generated tokens at the first end token or line break, and read their text."""
    for place, token in enumerate(tokens):
        if token == base.end_id:
            return Answer(
                question_id, base.text(tokens[:place]).strip(), True, tuple(tokens[:place])
            )
        if base.breaks_line(token):
            tokens = tokens[: place + 1]
            break
    text = base.text(tokens).split("\n")[0].strip()
    return Answer(question_id, text, False, tuple(tokens))
