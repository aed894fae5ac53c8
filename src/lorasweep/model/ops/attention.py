"""Attention over the rows of trees, every lane under the same mask.

Registered with transformers as the attention called ATTENTION, so that any model that goes
through `AttentionInterface` uses it. The mask is a float bias, 0 where a query sees a key and -inf
elsewhere, made once per micro-batch and shared by all layers, heads and lanes.

Shapes: K lanes, R rows, H query heads, G key heads, n = H / G, T queries, C keys, d width of a
head; a batch is B = K * R rows, lanes outermost.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

ATTENTION = "lorasweep"
# Queries taken at a time: fewer leave out more scores, and make smaller products.
BLOCK = 64
# What some models ask of their attention beyond softmax(q k^T scale + bias) v.
UNKNOWN = ("softcap", "s_aux")
# On a card: not cuDNN's, which plans anew for every new shape, for longer than it then takes.
FUSED = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def register() -> None:
    """Make ATTENTION known to transformers; a model without a bias of ours gets sdpa's mask."""
    AttentionInterface.register(ATTENTION, _attend)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)


def bias_of(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the float bias of a bool mask."""
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, -torch.inf)


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attend as transformers asks: q [B, H, T, d], k and v [B, G, C, d] to [B, T, H, d]."""
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if any(kwargs.get(name) is not None for name in UNKNOWN):
        raise ValueError(f"its attention uses one of {', '.join(UNKNOWN)}, which is not known here")
    if attention_mask is None or attention_mask.dtype == torch.bool:
        raise ValueError("rows of trees need their float bias; this model has built another mask")
    # Under autocast rotary embeddings leave queries and keys wider than values.
    query, key = query.to(value.dtype), key.to(value.dtype)
    attend = fused_attention if query.device.type == "cuda" else blocked_attention
    return attend(query, key, value, attention_mask, scale).transpose(1, 2), None


def reference_attention(q: Tensor, k: Tensor, v: Tensor, bias_R1TC: Tensor, scale: float) -> Tensor:
    """Return softmax(q k^T scale + bias) v by torch's own operation: [B, H, T, d]."""
    lanes = q.shape[0] // bias_R1TC.shape[0]
    bias = bias_R1TC.to(q.dtype).repeat(lanes, 1, 1, 1)
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=bias, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
    )


def fused_attention(q: Tensor, k: Tensor, v: Tensor, bias_R1TC: Tensor, scale: float) -> Tensor:
    """Return what `reference_attention` does, by one kernel on a card.

    torch has none that takes both a bias and fewer key heads, so these are repeated.
    """
    repeats = q.shape[1] // k.shape[1]
    if repeats > 1:
        k, v = (x.repeat_interleave(repeats, dim=1) for x in (k, v))
    with sdpa_kernel(FUSED):
        return reference_attention(q, k, v, bias_R1TC, scale)


def blocked_attention(q: Tensor, k: Tensor, v: Tensor, bias_R1TC: Tensor, scale: float) -> Tensor:
    """Return what `reference_attention` does by plain products, with a backward of our own.

    On CPUs torch's fused backward takes several times its forward; these are four products. No
    query of a whole row sees a key behind it, so its queries are taken in blocks, each against the
    keys up to its end: somewhat more than half of the scores. Key heads are never repeated: the
    queries of a group are rows of one product.
    """
    out: Tensor = _BlockedAttention.apply(q, k, v, bias_R1TC, scale)  # type: ignore[no-untyped-call]
    return out


class _BlockedAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias_R1TC: Tensor, scale: float
    ) -> Tensor:
        # A power of two for the usual head widths: exact, and one pass over scores less.
        q_BGnTd, k, v = _grouped(q * scale, k.shape[1]), _batched(k), _batched(v)
        bias, out = bias_R1TC.to(q.dtype), torch.empty_like(q_BGnTd)
        probabilities = []
        for block in _blocks(q.shape[2], k.shape[2]):
            scores = _of_block(q_BGnTd, block) @ k[:, :, block.keys].transpose(-1, -2)
            p = _probabilities(scores, bias[:, :, block.queries, block.keys])
            out[:, :, :, block.queries] = _by_head(p @ v[:, :, block.keys], out, block)
            probabilities.append(p)
        ctx.save_for_backward(q_BGnTd, k, v, *probabilities)
        ctx.scale = scale
        return out.view(q.shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q_BGnTd, k, v, *probabilities = ctx.saved_tensors
        do_BGnTd = _grouped(gradients[0], k.shape[1])
        dq, dk, dv = torch.empty_like(q_BGnTd), torch.zeros_like(k), torch.zeros_like(v)
        blocks = _blocks(q_BGnTd.shape[3], k.shape[2])
        for block, p in zip(blocks, probabilities, strict=True):
            do, seen_v = _of_block(do_BGnTd, block), v[:, :, block.keys]
            ds = torch._softmax_backward_data(do @ seen_v.transpose(-1, -2), p, -1, p.dtype)
            # Products added in place, into a part of a sum, would be taken matrix by matrix.
            dv[:, :, block.keys] += p.transpose(-1, -2) @ do
            dk[:, :, block.keys] += ds.transpose(-1, -2) @ _of_block(q_BGnTd, block)
            dq[:, :, :, block.queries] = _by_head(ds @ k[:, :, block.keys], dq, block)
        return dq.mul_(ctx.scale).view(gradients[0].shape), dk, dv, None, None


@dataclass(frozen=True, slots=True)
class _Block:
    """Queries of one block, and the keys that any of them may see."""

    queries: slice
    keys: slice


def _blocks(num_queries: int, num_keys: int) -> list[_Block]:
    """Cut the queries of whole rows; those of a step that grows rows are one block."""
    if num_queries != num_keys:
        return [_Block(slice(0, num_queries), slice(0, num_keys))]
    starts = range(0, num_queries, BLOCK)
    ends = [min(start + BLOCK, num_queries) for start in starts]
    return [_Block(slice(s, e), slice(0, e)) for s, e in zip(starts, ends, strict=True)]


def _grouped(x_BHTd: Tensor, key_heads: int) -> Tensor:
    """Return [B, G, n, T, d]: the query heads by their key heads."""
    batch, _, queries, width = x_BHTd.shape
    return x_BHTd.reshape(batch, key_heads, -1, queries, width)


def _batched(x_BGCd: Tensor) -> Tensor:
    """Return keys or values as products read them: a copy where B and G are no single axis.

    A cache with room is read as it is, where it would else be copied at every step.
    """
    batch, heads, _, width = x_BGCd.stride()
    as_it_is = width == 1 and batch == x_BGCd.shape[1] * heads
    return x_BGCd if as_it_is else x_BGCd.contiguous()


def _of_block(x_BGnTd: Tensor, block: _Block) -> Tensor:
    """Return a block's queries [B, G, n * T', d], the heads of a group one below the other."""
    return x_BGnTd[:, :, :, block.queries].flatten(2, 3)


def _by_head(x_BGtd: Tensor, like: Tensor, block: _Block) -> Tensor:
    """Return [B, G, n, T', d] of [B, G, n * T', d]."""
    return x_BGtd.view(*like.shape[:3], -1, like.shape[-1])


def _probabilities(scores: Tensor, bias_R1TC: Tensor) -> Tensor:
    """Return softmax over keys of scores [B, G, n * T, C] plus the bias, at the scores' precision.

    The bias is 0 or -inf, so it is exact in any; torch takes the sums of bf16 scores in fp32.
    """
    rows, _, queries, keys = bias_R1TC.shape
    groups, per_group = scores.shape[1], scores.shape[2] // queries
    # The scores are nobody else's, so they may be changed in place.
    by_row = scores.view(-1, rows, groups, per_group, queries, keys)
    by_row.add_(bias_R1TC[:, :, None])
    return torch.softmax(scores, dim=-1)
