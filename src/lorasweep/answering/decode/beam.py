"""Beam search: as transformers' generate(num_beams=n, early_stopping=True, length_penalty=1).

The n likeliest unfinished beginnings go on. A continuation is finished if it stops and is one of
the n likeliest at its step; the search of a question ends with n finished ones, or at the last
step, where the n likeliest all count. The answer has the highest mean log-probability per token.

Shapes: K lanes, R rows, Q branches, n beams of a branch, V tokens of the vocabulary, N steps;
S slots, and M of them that are searched, as in `rows`.
"""

import torch
from torch import Tensor

from lorasweep.answering.decode.answers import stops
from lorasweep.answering.decode.rows import GrowingRows
from lorasweep.data.trees import PADDING
from lorasweep.model.base import Base

# A beam that is not there: lower than any sum of log-probabilities, yet not infinite.
ABSENT = -1e9


@torch.inference_mode()
def search(rows: GrowingRows, max_new_tokens: int) -> Tensor:
    """Return the best answers' tokens [K, R, Q, N], filled up with end tokens.

    Questions that have finished are left out of what is computed, as far as that pays.
    """
    logits_MV, searched_KRS = rows.prefill(), rows.real_KRS
    beams = _Beams(rows, logits_MV.shape[-1], max_new_tokens)
    for step in range(max_new_tokens):
        at = _questions(rows)
        parents = beams.advance(_of_all(logits_MV, searched_KRS), at, step)
        if beams.all_done or step + 1 == max_new_tokens:
            break
        first = torch.arange(parents.shape[2], device=parents.device) * rows.copies
        rows.follow((parents + first[:, None]).flatten(2))
        searched_KRS = rows.keep(beams.searched(at))
        logits_MV = rows.grow(beams.tokens(_questions(rows), step), searched_KRS)
    return beams.best_KRQN


def _of_all(logits_MV: Tensor, searched_KRS: Tensor) -> Tensor:
    """Return logits [K, R, S, V]: anything for slots whose question is not searched."""
    found = logits_MV.new_zeros(*searched_KRS.shape, logits_MV.shape[-1])
    found[searched_KRS] = logits_MV
    return found


# Lane, row and branch, as they were at first, of each question that is still computed.
Questions = tuple[Tensor, Tensor, Tensor]


def _questions(rows: GrowingRows) -> Questions:
    """Return the questions [K, R', Q'] of the rows: the beams of one stay side by side."""
    lane, row, slot = rows.slots_KRS3[:, :, :: rows.copies].unbind(-1)
    return lane, row, slot // rows.copies


class _Beams:
    """The beams of all questions: what they hold, their scores, and the best that has finished.

    Tensors hold all questions [K, R, Q]; a step takes those [K, R', Q'] that are still computed.
    """

    def __init__(self, rows: GrowingRows, num_tokens: int, max_new_tokens: int) -> None:
        base, n = rows.base, rows.copies
        real = rows.branch_RS[:, ::n] != PADDING
        shape = (rows.num_lanes, *real.shape)
        self.n, self.num_steps = n, max_new_tokens
        self.stops_V = _stopping_tokens(base, num_tokens)
        self.scores_KRQn = torch.full((*shape, n), ABSENT, device=base.device)
        # At first all beams are the same; one of them is enough.
        self.scores_KRQn[..., 0] = 0.0
        self.held_KRQnN = torch.full((*shape, n, max_new_tokens), base.end_id, device=base.device)
        self.best_KRQN = self.held_KRQnN[..., 0, :].clone()
        self.best_score_KRQ = torch.full(shape, -torch.inf, device=base.device)
        self.num_finished_KRQ = torch.where(real, 0, n).expand(shape).clone()

    @property
    def all_done(self) -> bool:
        """Say whether every question has n finished answers."""
        return bool((self.num_finished_KRQ >= self.n).all())

    def searched(self, at: Questions) -> Tensor:
        """Say of each beam [K, R', Q' * n] whether its question is still searched."""
        return (self.num_finished_KRQ[at] < self.n).repeat_interleave(self.n, dim=-1)

    def tokens(self, at: Questions, step: int) -> Tensor:
        """Return the token [K, R', Q' * n] that each beam took at a step."""
        return self.held_KRQnN[at][..., step].flatten(2)

    def advance(self, logits: Tensor, at: Questions, step: int) -> Tensor:
        """Take a step with logits [K, R', Q' * n, V]; return which beam each one continues."""
        continued = self._continued(logits, at)
        self._finish(continued, at, step)
        going_on = continued.masked_fill(self.stops_V, ABSENT)
        self.scores_KRQn[at], parents, tokens = self._likeliest(going_on)
        self.held_KRQnN[at] = self._held_with(parents, tokens, at, step)
        return parents

    def _continued(self, logits: Tensor, at: Questions) -> Tensor:
        """Return the scores [K, R', Q', n, V] of the beams with every token behind them."""
        before = self.scores_KRQn[at]
        return logits.float().log_softmax(-1).view(*before.shape, -1) + before[..., None]

    def _likeliest(self, continued: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return scores, parents and tokens of the n likeliest continuations of each question."""
        scores, places = continued.flatten(-2).topk(self.n)
        num_tokens = continued.shape[-1]
        return scores, places // num_tokens, places % num_tokens

    def _finish(self, continued: Tensor, at: Questions, step: int) -> None:
        """Note which of the n likeliest stop here, and the best of them where it leads."""
        scores, parents, tokens = self._likeliest(continued)
        is_open = (self.num_finished_KRQ[at] < self.n)[..., None]
        hits = (self.stops_V[tokens] | (step + 1 == self.num_steps)) & is_open
        means = (scores / (step + 1)).masked_fill(~hits, -torch.inf)
        top, place = means.max(-1)
        leads = top > self.best_score_KRQ[at]
        held = self._held_with(parents, tokens, at, step)
        found = held.gather(-2, place[..., None, None].expand(*place.shape, 1, held.shape[-1]))
        best, best_score = self.best_KRQN[at], self.best_score_KRQ[at]
        self.best_KRQN[at] = torch.where(leads[..., None], found[..., 0, :], best)
        self.best_score_KRQ[at] = torch.where(leads, top, best_score)
        self.num_finished_KRQ[at] += hits.sum(-1)

    def _held_with(self, parents: Tensor, tokens: Tensor, at: Questions, step: int) -> Tensor:
        """Return the parents' tokens [K, R', Q', n, N] with a new one at this step."""
        before = self.held_KRQnN[at]
        held = before.gather(-2, parents[..., None].expand_as(before))
        held[..., step] = tokens
        return held


def _stopping_tokens(base: Base, num_tokens: int) -> Tensor:
    return stops(base, torch.arange(num_tokens, device=base.device))
