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
    for group in micro_batches([_prompts(tree) for tree in trees], width):
        yield _GreedyRows(base, group, num_lanes, max_new_tokens).answers()


def _prompts(tree: Tree) -> Tree:
    """Return the tree without its answers: a one-token answer is a label only, never an input."""
    branches = tuple(Branch(b.question_id, b.prompt_ids, b.answer_ids[:1]) for b in tree.branches)
    return Tree(tree.id, tree.trunk_ids, branches)


class _GreedyRows:
    """The rows of one micro-batch while they are decoded, every lane a copy of them."""

    @torch.inference_mode()
    def __init__(
        self, base: Base, trees: Sequence[Tree], num_lanes: int, max_new_tokens: int
    ) -> None:
        self.base, self.trees, self.num_lanes = base, trees, num_lanes
        self.max_new_tokens = max_new_tokens
        self.cache: Any = DynamicCache(config=base.model.config)
        self.end = base.end_id
        rows = lay_out(trees, base.device)
        self.owner_RC = rows.owner_RT
        self.branch_RQ = self._branch_numbers()
        self.position_RQ = self._first_positions()
        hidden = self._forward(rows.input_ids_RT.repeat(num_lanes, 1), rows.position_ids_RT,
                               rows.mask_R1TT)  # fmt: skip
        hidden_KNd = hidden.view(num_lanes, -1, hidden.shape[-1])[:, rows.answer_index_N]
        real = (self.branch_RQ != PADDING).repeat(num_lanes, 1)
        self.tokens_BQ = torch.full(real.shape, self.end, device=base.device)
        self.tokens_BQ[real] = base.head(hidden_KNd).argmax(-1).flatten()
        self.done_BQ = ~real
        self.chosen: list[Tensor] = []

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

    @torch.inference_mode()
    def answers(self) -> list[list[Answer]]:
        """Grow all branches until each has stopped; return the answers of every lane."""
        for step in range(self.max_new_tokens):
            self.chosen.append(self.tokens_BQ)
            self.done_BQ = self.done_BQ | self._stops(self.tokens_BQ)
            if bool(self.done_BQ.all()) or step + 1 == self.max_new_tokens:
                break
            self._advance()
        return self._collect()

    def _advance(self) -> None:
        """Compute every branch's newest token, and choose the next one."""
        self.owner_RC = torch.cat([self.owner_RC, self.branch_RQ], dim=1)
        hidden = self._forward(self.tokens_BQ, self.position_RQ, self._step_mask())
        self.position_RQ = self.position_RQ + 1
        # Padding takes a place in the row, never one behind the model's last position.
        self.position_RQ.clamp_(max=self.base.max_tokens - 1)
        self.tokens_BQ = self.base.head(hidden).argmax(-1).masked_fill(self.done_BQ, self.end)

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
        output = self.base.body(
            input_ids=input_ids,
            position_ids=position_ids_RT.repeat(self.num_lanes, 1),
            attention_mask=mask_R1TC.repeat(self.num_lanes, 1, 1, 1),
            past_key_values=self.cache,
            use_cache=True,
        )
        hidden: Tensor = output.last_hidden_state
        return hidden

    def _stops(self, tokens_BQ: Tensor) -> Tensor:
        stops = [t == self.end or self.base.breaks_line(t) for t in tokens_BQ.flatten().tolist()]
        return torch.tensor(stops, device=tokens_BQ.device).view(tokens_BQ.shape)

    def _collect(self) -> list[list[Answer]]:
        tokens_KRQS = torch.stack(self.chosen, dim=-1)
        tokens_KRQS = tokens_KRQS.view(self.num_lanes, len(self.trees), *tokens_KRQS.shape[1:])
        return [self._lane_answers(lane) for lane in tokens_KRQS.tolist()]

    def _lane_answers(self, tokens_RQS: list[list[list[int]]]) -> list[Answer]:
        return [
            self._answer(branch.question_id, tokens)
            for tree, tokens_QS in zip(self.trees, tokens_RQS, strict=True)
            for branch, tokens in zip(tree.branches, tokens_QS, strict=False)
        ]

    def _answer(self, question_id: str, tokens: list[int]) -> Answer:
        ended = self.end in tokens
        kept = tokens[: tokens.index(self.end)] if ended else tokens
        lines = [i for i, t in enumerate(kept) if self.base.breaks_line(t)]
        if lines:
            kept, ended = kept[: lines[0] + 1], False
        text = self.base.text(kept).split("\n")[0].strip()
        return Answer(question_id, text, ended, tuple(kept))
