"""Sampling decoders: top-k (arXiv:1805.04833), nucleus (arXiv:1904.09751) and temperature.

Every random number is a hash of the seed, the question, the draw and the step, so a draw is the
same in any micro-batch, order and pack, and all lanes of a pack draw by the same numbers.

Shapes: K lanes, R rows, S slots, V tokens of the vocabulary, N steps.
"""

import hashlib
import json

import torch
from torch import Tensor

from lorasweep.decode.rows import GrowingRows
from lorasweep.decode.stepwise import Choose
from lorasweep.decoders import Decoder

# A nucleus rarely reaches further; where it does, the whole vocabulary is ranked.
USUAL_NUCLEUS = 256
# So many that a number times any sum of probabilities stays below the sum.
RANDOM_BITS = 52
# Slots whose probabilities are held together: in float64 they are large.
AT_ONCE = 64


def sampler(rows: GrowingRows, decoder: Decoder, seed: int, max_new_tokens: int) -> Choose:
    """Return how a sampling decoder chooses the tokens of these rows."""
    uniforms_RSN = _uniforms(rows, seed, max_new_tokens)

    def choose(logits: Tensor, slots: Tensor, step: int) -> Tensor:
        uniforms = uniforms_RSN[slots[:, 1], slots[:, 2], step]
        return torch.cat(
            [
                _at(warp(some.double(), decoder).softmax(-1), numbers)
                for some, numbers in zip(
                    torch.split(logits, AT_ONCE), torch.split(uniforms, AT_ONCE), strict=True
                )
            ]
        )

    return choose


def uniform(seed: int, question_id: str, draw: int, step: int) -> float:
    """Return the random number in [0, 1) of one choice."""
    key = json.dumps([seed, question_id, draw, step]).encode()
    digest = hashlib.blake2b(key, digest_size=8).digest()
    return float((int.from_bytes(digest, "big") >> (64 - RANDOM_BITS)) / (1 << RANDOM_BITS))


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
    kept = probabilities > last
    level = probabilities == last
    kept |= level & (level.cumsum(-1) <= ties)
    return logits.masked_fill(~kept.view(logits.shape), -torch.inf)


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
        everything = probabilities.shape[-1]
        last[further], ties[further] = _last_of_nucleus(probabilities[further], p, everything)
    return last, ties


def _at(probabilities: Tensor, uniforms: Tensor) -> Tensor:
    """Return the tokens at which the cumulated probabilities [..., V] pass a share [...]."""
    cumulated = probabilities.cumsum(-1)
    places = uniforms[..., None] * cumulated[..., -1:]
    return torch.searchsorted(cumulated, places, right=True)[..., 0]


def _uniforms(rows: GrowingRows, seed: int, max_new_tokens: int) -> Tensor:
    """Return random numbers [R, S, N] in [0, 1), 0 where a row has no branch."""
    found = torch.zeros(*rows.branch_RS.shape, max_new_tokens, dtype=torch.float64)
    for r, tree in enumerate(rows.trees):
        for q, branch in enumerate(tree.branches):
            for draw in range(rows.copies):
                numbers = [
                    uniform(seed, branch.question_id, draw, step) for step in range(max_new_tokens)
                ]
                found[r, q * rows.copies + draw] = torch.tensor(numbers, dtype=torch.float64)
    return found.to(rows.base.device)
