"""Decoders that choose a slot's next token once and for all: the loop they share, and greedy.

Shapes: K lanes, R rows, S slots, V tokens of the vocabulary, N steps.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from lorasweep.decode.answers import stops
from lorasweep.decode.rows import GrowingRows
from lorasweep.trees import PADDING

# From logits [K, R, S, V], what has stopped [K, R, S] and the number of the step to [K, R, S].
Choose = Callable[[Tensor, Tensor, int], Tensor]


@torch.inference_mode()
def grow_until_stopped(rows: GrowingRows, choose: Choose, max_new_tokens: int) -> Tensor:
    """Grow all slots by chosen tokens until each has stopped; return the tokens [K, R, S, N]."""
    logits = rows.prefill()
    done_KRS = (rows.branch_RS == PADDING).expand(logits.shape[:-1]).clone()
    tokens_KRS = choose(logits, done_KRS, 0)
    chosen = [tokens_KRS]
    for step in range(1, max_new_tokens):
        done_KRS |= stops(rows.base, tokens_KRS)
        if bool(done_KRS.all()):
            break
        found = choose(rows.grow(tokens_KRS), done_KRS, step)
        tokens_KRS = found.masked_fill(done_KRS, rows.base.end_id)
        chosen.append(tokens_KRS)
    return torch.stack(chosen, dim=-1)


def likeliest(logits: Tensor, done: Tensor, step: int) -> Tensor:
    """Choose the token with the highest logit."""
    return logits.argmax(-1)
