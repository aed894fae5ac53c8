"""Rows that grow: all questions of a tree answered in one row, from one pass over their context.

A row is a tree's trunk and the prompts of its branches. Behind a branch grow one or more slots, a
token at a time: the one answer of a greedy decoder, the draws of a sampling one, or beams. A slot
sees the trunk, its branch's prompt and its own tokens. With a pack's adapters attached, all lanes
answer together.

Shapes: K lanes, R rows (trees), Q branches of the widest row, S slots of the widest row, M slots
that are read, in the order of lanes, rows and slots, T tokens computed in this pass, C tokens in
the cache, V tokens of the vocabulary.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lorasweep.answering.decode.cache import Keys, filled_cache, keys_of, roomy_cache
from lorasweep.data.trees import PADDING, TRUNK, Branch, Tree, lay_out
from lorasweep.model.base import Base
from lorasweep.model.ops.attention import bias_of


def prompts_of(tree: Tree) -> Tree:
    """Return the tree without its answers: a one-token answer is only a label, never an input."""
    branches = tuple(Branch(b.question_id, b.prompt_ids, b.answer_ids[:1]) for b in tree.branches)
    return Tree(tree.id, tree.trunk_ids, branches)


@dataclass(frozen=True, slots=True)
class Prefilled:
    """What the pass over prompts leaves: keys and values, and the states before each answer.

    `seconds` is what it took.
    """

    keys: Keys
    hidden_KNd: Tensor
    seconds: float

    @property
    def num_bytes(self) -> int:
        """Memory that it takes."""
        return sum(x.nbytes for pair in self.keys for x in pair) + self.hidden_KNd.nbytes


class GrowingRows:
    """The rows of one micro-batch while they grow by a token per slot, a copy for every lane.

    The slots of branch q are q * copies to (q + 1) * copies - 1. `prefill` computes trunks and
    prompts, `grow` appends one token to every slot; both return logits [M, V] of next tokens: of
    the slots that have a branch, and of those that are asked for. `keep` leaves out what has
    stopped: R and S shrink, and `slots_KRS3` says which lane, row and slot each was at first.
    `prefilled` may be there already, from other rows that grew behind the same prompts.
    """

    def __init__(
        self, base: Base, trees: Sequence[Tree], num_lanes: int, copies: int = 1,
        prefilled: Prefilled | None = None,
    ) -> None:  # fmt: skip
        self.base, self.trees, self.num_lanes, self.copies = base, trees, num_lanes, copies
        self.prefilled = prefilled
        self.cache: Any = None
        self.rows = lay_out(trees, base.device)
        self.branch_RS = self._branch_numbers().repeat_interleave(copies, dim=1)
        self.position_RS = self._first_positions().repeat_interleave(copies, dim=1)
        # One for all lanes; one for each lane's rows once slots have changed places.
        self.seen_RSC = self._prompts_seen()
        shape = (num_lanes, *self.branch_RS.shape)
        everything = torch.ones(shape, dtype=torch.bool, device=base.device)
        self.slots_KRS3 = everything.nonzero().view(*shape, 3)

    def _branch_numbers(self) -> Tensor:
        """Return [R, Q]: the number of each branch in its tree, PADDING where there is none."""
        counts = torch.tensor([len(tree.branches) for tree in self.trees], device=self.base.device)
        numbers = torch.arange(int(counts.max()), device=self.base.device)
        return torch.where(numbers < counts[:, None], numbers, PADDING)

    def _first_positions(self) -> Tensor:
        """Return [R, Q]: the position of each branch's first answer token."""
        first = torch.zeros_like(self.branch_RS[:, :: self.copies])
        for r, tree in enumerate(self.trees):
            for q, branch in enumerate(tree.branches):
                first[r, q] = len(tree.trunk_ids) + len(branch.prompt_ids)
        return first

    def _prompts_seen(self) -> Tensor:
        """Return [R, S, C]: a slot sees the trunk and its branch's prompt."""
        owner, mine = self.rows.owner_RT[:, None, :], self.branch_RS[:, :, None]
        return ((owner == TRUNK) | (owner == mine)) & (mine != PADDING) & (owner != PADDING)

    def prefill(self) -> Tensor:
        """Compute trunks and prompts; return the logits of every real slot's first answer token."""
        self.prefilled = self.prefilled or self._prefilled()
        self.cache = filled_cache(self.prefilled.keys)
        logits_MV = self.base.head(self.prefilled.hidden_KNd).flatten(0, 1)
        return logits_MV if self.copies == 1 else logits_MV.repeat_interleave(self.copies, dim=0)

    @property
    def real_KRS(self) -> Tensor:
        """Say which slots have a branch."""
        return (self.branch_RS != PADDING).repeat(self.num_lanes, 1, 1)

    def _prefilled(self) -> Prefilled:
        started = time.perf_counter()
        rows, self.cache = self.rows, roomy_cache(self.base.model.config)
        hidden = self._forward(rows.input_ids_RT.repeat(self.num_lanes, 1), rows.position_ids_RT,
                               rows.mask_R1TT, rows.answer_index_of(self.num_lanes))  # fmt: skip
        read_KNd = hidden.flatten(1, 2)[:, rows.answer_index_N]
        return Prefilled(keys_of(self.cache), read_KNd, time.perf_counter() - started)

    def grow(self, tokens_KRS: Tensor, read_KRS: Tensor) -> Tensor:
        """Append a token to every slot; return the logits of the token after it where it is read.

        The head costs as much as half of a small model's body.
        """
        num_slots = tokens_KRS.shape[-1]
        itself = torch.eye(num_slots, dtype=torch.bool, device=tokens_KRS.device)
        self.seen_RSC = torch.cat(
            [self.seen_RSC, itself.expand(len(self.seen_RSC), -1, -1)], dim=-1
        )
        mask = self.seen_RSC[:, None]
        hidden = self._forward(tokens_KRS.flatten(0, 1), self.position_RS, mask)
        # Slots that have stopped still take a place in their row, never one behind the last.
        self.position_RS = (self.position_RS + 1).clamp_(max=self.base.max_tokens - 1)
        return self.base.head(hidden[read_KRS])

    def keep(self, alive_KRS: Tensor) -> Tensor:
        """Compute the slots that are alive and few others from here on; return who is alive now.

        Slots are left out where no row needs so many; rows where that at least halves them, because
        what is kept of the cache is copied.
        """
        needed_KR, (num_rows, num_slots) = alive_KRS.any(-1), alive_KRS.shape[1:]
        most_slots, most_rows = int(alive_KRS.sum(-1).max()), int(needed_KR.sum(1).max())
        if 2 * most_rows <= num_rows:
            rows_KR = _first_the_true(needed_KR, most_rows)
            lanes_K1 = torch.arange(self.num_lanes, device=rows_KR.device)[:, None]
            self.cache.batch_select_indices((lanes_K1 * num_rows + rows_KR).flatten())
        elif most_slots == num_slots:
            return alive_KRS
        else:
            rows_KR = torch.arange(num_rows, device=needed_KR.device).expand_as(needed_KR)
        slots_KRS = _first_the_true(_taken(alive_KRS, rows_KR), most_slots)
        self.position_RS = self._narrowed(self.position_RS, rows_KR, slots_KRS).flatten(0, 1)
        self.seen_RSC = self._narrowed(self.seen_RSC, rows_KR, slots_KRS).flatten(0, 1)
        alive_KRS = self._narrowed(alive_KRS.flatten(0, 1), rows_KR, slots_KRS)
        # The slots come last: how many rows there are is read from them.
        self.slots_KRS3 = self._narrowed(self.slots_KRS3.flatten(0, 1), rows_KR, slots_KRS)
        return alive_KRS

    def _narrowed(self, of_rows: Tensor, rows_KR: Tensor, slots_KRS: Tensor) -> Tensor:
        """Return [K, R', S', ...]: what is kept of [R, S, ...] or of [K * R, S, ...]."""
        lanes_KRS = self._of_all_lanes(of_rows).view(self.num_lanes, -1, *of_rows.shape[1:])
        kept = _taken(_taken(lanes_KRS, rows_KR).flatten(0, 1), slots_KRS.flatten(0, 1))
        return kept.view(*slots_KRS.shape, *of_rows.shape[2:])

    def _of_all_lanes(self, of_rows: Tensor) -> Tensor:
        """Return [K * R, ...] of what is one for all lanes [R, ...], or already for each."""
        lanes = self.num_lanes * self.slots_KRS3.shape[1] // len(of_rows)
        return of_rows.repeat(lanes, *[1] * (of_rows.dim() - 1))

    def follow(self, parents_KRS: Tensor) -> None:
        """Let every slot go on from the tokens of another slot of its branch, lane by lane.

        Nothing is moved: a slot sees other tokens from here on.
        """
        parents = parents_KRS.flatten(0, 1)[..., None]
        seen = self._of_all_lanes(self.seen_RSC)
        self.seen_RSC = seen.gather(1, parents.expand(-1, -1, seen.shape[-1]))

    def _forward(
        self, input_ids: Tensor, position_ids_RT: Tensor, mask: Tensor, read_M: Tensor | None = None
    ) -> Tensor:
        """Return hidden states [K, R, T, width] of the computed tokens.

        The mask is [R, 1, T, C] for all lanes, or [K * R, 1, T, C] with one for each; `read_M` are
        the tokens that are read, where it is not all of them.
        """
        hidden: Tensor = self.base.body(
            read_M=read_M,
            input_ids=input_ids,
            position_ids=self._of_all_lanes(position_ids_RT),
            attention_mask=bias_of(mask, self.base.model.dtype),
            past_key_values=self.cache,
            use_cache=True,
        ).last_hidden_state
        return hidden.view(self.num_lanes, -1, *hidden.shape[1:])


def _first_the_true(of_each: Tensor, count: int) -> Tensor:
    """Return [..., count]: the places of those that are true, then of some that are not."""
    ranked = torch.sort(of_each.to(torch.uint8), dim=-1, descending=True, stable=True)
    return ranked.indices[..., :count]


def _taken(values: Tensor, places: Tensor) -> Tensor:
    """Return values [X, Y', ...] of [X, Y, ...] at places [X, Y']."""
    first = torch.arange(len(places), device=places.device)[:, None]
    return values[first, places]
