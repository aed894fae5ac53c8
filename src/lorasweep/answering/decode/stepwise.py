"""Decoders that choose a slot's next token once and for all: the loop they share, and greedy.

Shapes: K lanes, R rows, S slots, M slots that have not stopped, V tokens of the vocabulary,
N steps.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from lorasweep.answering.decode.answers import stops
from lorasweep.answering.decode.rows import GrowingRows

# From logits [M, V], whose they are (lane, row and slot: [M, 3]) and the step's number to [M].
Choose = Callable[[Tensor, Tensor, int], Tensor]


@torch.inference_mode()
def grow_until_stopped(rows: GrowingRows, choose: Choose, max_new_tokens: int) -> Tensor:
    """Grow all slots by chosen tokens until each has stopped; return the tokens [K, R, S, N].

    What has stopped holds end tokens and is not computed any further.
    """
    logits_MV, alive_KRS = rows.prefill(), rows.real_KRS
    shape = (*alive_KRS.shape, max_new_tokens)
    tokens_KRSN = torch.full(shape, rows.base.end_id, device=logits_MV.device)
    for step in range(max_new_tokens):
        slots_M3 = rows.slots_KRS3[alive_KRS]
        tokens_M = choose(logits_MV, slots_M3, step)
        tokens_KRSN[..., step][tuple(slots_M3.T)] = tokens_M
        alive_KRS[alive_KRS.clone()] = ~stops(rows.base, tokens_M)
        if step + 1 == max_new_tokens or not bool(alive_KRS.any()):
            break
        alive_KRS = rows.keep(alive_KRS)
        logits_MV = rows.grow(tokens_KRSN[..., step][rows.slots_KRS3.unbind(-1)], alive_KRS)
    return tokens_KRSN


def likeliest(logits: Tensor, slots: Tensor, step: int) -> Tensor:
    """Choose the token with the highest logit."""
    return logits.argmax(-1)
