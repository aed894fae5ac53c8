"""Sampling decoders: top-k (arXiv:1805.04833), nucleus (arXiv:1904.09751) and temperature.

A draw is the token whose logit is highest after noise of its own was added (the Gumbel-max trick;
Gumbel 1954, arXiv:1411.0030). The noise is a hash of the seed, the question, the draw, the step and
the token, so a draw is the same in any micro-batch, order and pack, and all lanes of a pack draw by
the same noise. Logits of another batch shape differ in their last bits, which may move a token over
the border of a nucleus; here that changes the draw only where the moved token itself wins, while
a place in cumulated probabilities would move for all tokens.

Shapes: R rows, S slots, M slots that have not stopped, V tokens of the vocabulary, N steps.
"""

import torch
from torch import Tensor

from lorasweep.answering.decode.rows import GrowingRows
from lorasweep.answering.decode.stepwise import Choose
from lorasweep.model.ops.hashing import key_of, random_words, shifted
from lorasweep.study.decoders import Decoder

# A nucleus rarely reaches further; where it does, ever more of the vocabulary is ranked.
USUAL_NUCLEUS, WIDENING = 256, 8
# Tokens are ranked where no slot keeps more than one in so many: noise costs more than ranking.
FEW = 8
# Logits taken at a time, in float64 with their noise and more: 8 MiB each, which caches hold, and
# 128 MiB on a card.
LOGITS_AT_ONCE = {"cpu": 2**20, "cuda": 2**24}
RANDOM_BITS = 53


def sampler(rows: GrowingRows, decoder: Decoder, seed: int, max_new_tokens: int) -> Choose:
    """Return how a sampling decoder chooses the tokens of these rows."""
    keys_RSN = _keys(rows, seed, max_new_tokens)

    def choose(logits: Tensor, slots: Tensor, step: int) -> Tensor:
        keys_M = keys_RSN[slots[:, 1], slots[:, 2], step]
        # In the order of keys the lanes of a slot, which share its noise, stand side by side.
        order = keys_M.argsort()
        parts = torch.split(order, max(1, LOGITS_AT_ONCE[logits.device.type] // logits.shape[-1]))
        found = [drawn(warp(logits[part].double(), decoder), keys_M[part]) for part in parts]
        return torch.empty_like(order).scatter_(0, order, torch.cat(found))

    return choose


def drawn(warped: Tensor, keys_M: Tensor) -> Tensor:
    """Return the tokens [M] that win the choices with these keys; warped logits are [M, V].

    Equal keys have equal noise, made once; and for few tokens alone where no slot keeps more.
    """
    tokens, num_kept = torch.arange(warped.shape[-1], device=warped.device), _most_kept(warped)
    if FEW * num_kept <= len(tokens):
        warped, tokens = warped.topk(num_kept)
        noise = gumbel_noise(keys_M[:, None], tokens)
    else:
        keys_U, whose_M = torch.unique(keys_M, return_inverse=True)
        noise = gumbel_noise(keys_U[:, None], tokens)[whose_M]
    winners = (warped + noise).argmax(-1, keepdim=True)
    return tokens.expand_as(warped).gather(-1, winners)[:, 0]


def _most_kept(warped: Tensor) -> int:
    """Return how many tokens the slot keeps that keeps most; one where logits are not finite."""
    return max(1, int(warped.isfinite().sum(-1).max()))


def gumbel_noise(keys: Tensor, tokens: Tensor) -> Tensor:
    """Return noise of Gumbel's distribution for tokens in the choices with these keys."""
    bits = shifted(random_words(keys, tokens), 64 - RANDOM_BITS)
    return -(-((bits.double() + 0.5) / (1 << RANDOM_BITS)).log()).log()


def warp(logits: Tensor, decoder: Decoder) -> Tensor:
    """Return logits [..., V] as transformers' warper of this decoder does."""
    if decoder.kind == "top-k":
        return _top_k(logits, int(decoder.number))
    if decoder.kind == "nucleus":
        return _nucleus(logits, decoder.number)
    return logits / decoder.number


def _top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the k highest logits, and all that equal the last of them."""
    last = logits.topk(min(k, logits.shape[-1])).values[..., -1:]
    return logits.masked_fill(logits < last, -torch.inf)


def _nucleus(logits: Tensor, p: float) -> Tensor:
    """Keep the smallest set of tokens whose probability reaches p; ties go by the tokens' order."""
    probabilities = logits.softmax(-1).view(-1, logits.shape[-1])
    last, ties = _last_of_nucleus(probabilities, p, USUAL_NUCLEUS)
    left_out = probabilities < last
    level = probabilities == last
    split = (level.sum(-1, keepdim=True) > ties)[:, 0]
    if bool(split.any()):
        left_out[split] |= level[split] & (level[split].cumsum(-1) > ties[split])
    return logits.masked_fill(left_out.view(logits.shape), -torch.inf)


def _last_of_nucleus(probabilities: Tensor, p: float, width: int) -> tuple[Tensor, Tensor]:
    """Return [M, 1] each: the lowest probability in the nucleus, and how many tokens have it."""
    ranked = probabilities.topk(min(width, probabilities.shape[-1])).values
    short = ranked.cumsum(-1) < p
    place = short.sum(-1, keepdim=True).clamp(max=ranked.shape[-1] - 1)
    last = ranked.gather(-1, place)
    upto = torch.arange(ranked.shape[-1], device=ranked.device) <= place
    ties = ((ranked == last) & upto).sum(-1, keepdim=True)
    further = short[:, -1]
    if ranked.shape[-1] < probabilities.shape[-1] and bool(further.any()):
        wider = WIDENING * width
        last[further], ties[further] = _last_of_nucleus(probabilities[further], p, wider)
    return last, ties


def _keys(rows: GrowingRows, seed: int, max_new_tokens: int) -> Tensor:
    """Return the keys [R, S, N] of all choices, 0 where a row has no branch."""
    found = torch.zeros(*rows.branch_RS.shape, max_new_tokens, dtype=torch.long)
    for r, tree in enumerate(rows.trees):
        for q, branch in enumerate(tree.branches):
            for draw in range(rows.copies):
                steps = range(max_new_tokens)
                keys = [key_of([seed, branch.question_id, draw, step]) for step in steps]
                found[r, q * rows.copies + draw] = torch.tensor(keys)
    return found.to(rows.base.device)
