"""Attention over the rows of trees, every lane under the same mask.

Registered with transformers as the attention called ATTENTION, so that any model that goes
through `AttentionInterface` uses it. The mask is a float bias, 0 where a query sees a key and -inf
elsewhere, made once per micro-batch and shared by all layers, heads and lanes.

Shapes: K lanes, R rows, H query heads, G key heads, n = H / G, T queries, C keys, d width of a
head; a batch is B = K * R rows, lanes outermost.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

ATTENTION = "lorasweep"
# What some models ask of their attention beyond softmax(q k^T scale + bias) v.
UNKNOWN = ("softcap", "s_aux")


def register() -> None:
    """Make ATTENTION known to transformers; a model without a bias of ours gets sdpa's mask."""
    AttentionInterface.register(ATTENTION, _attend)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)


def bias_of(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the float bias of a bool mask; scores are never rounder than fp32, nor is the bias."""
    wide = torch.promote_types(dtype, torch.float32)
    return torch.zeros(mask.shape, dtype=wide, device=mask.device).masked_fill_(~mask, -torch.inf)


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
    attend = reference_attention if query.device.type == "cuda" else dense_attention
    return attend(query, key, value, attention_mask, scale).transpose(1, 2), None


def reference_attention(q: Tensor, k: Tensor, v: Tensor, bias_R1TC: Tensor, scale: float) -> Tensor:
    """Return softmax(q k^T scale + bias) v by torch's own operation: [B, H, T, d]."""
    lanes = q.shape[0] // bias_R1TC.shape[0]
    bias = bias_R1TC.to(q.dtype).repeat(lanes, 1, 1, 1)
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=bias, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
    )


def dense_attention(q: Tensor, k: Tensor, v: Tensor, bias_R1TC: Tensor, scale: float) -> Tensor:
    """Return what `reference_attention` does by plain products, with a backward of our own.

    On CPUs torch's fused backward takes several times its forward; these are four products. Key
    heads are never repeated: the queries of a group are rows of one product.
    """
    out: Tensor = _DenseAttention.apply(q, k, v, bias_R1TC, scale)  # type: ignore[no-untyped-call]
    return out


class _DenseAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias_R1TC: Tensor, scale: float
    ) -> Tensor:
        # A power of two for the usual head widths: exact, and one pass over scores less.
        q_BGnTd = _grouped(q * scale, k.shape[1])
        p = _probabilities(q_BGnTd @ k.transpose(-1, -2), bias_R1TC)
        ctx.save_for_backward(q_BGnTd, k, v, p)
        ctx.scale = scale
        return (p @ v).view(q.shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, p = ctx.saved_tensors
        do = _grouped(gradients[0], k.shape[1])
        dv = p.transpose(-1, -2) @ do
        ds = torch._softmax_backward_data(do @ v.transpose(-1, -2), p, -1, p.dtype)
        dq = (ds @ k).mul_(ctx.scale).view(gradients[0].shape)
        dk = ds.transpose(-1, -2) @ q
        return dq, dk, dv, None, None


def _grouped(x_BHTd: Tensor, key_heads: int) -> Tensor:
    """Put the query heads of a key head one below the other: [B, G, n * T, d]."""
    batch, _, _, width = x_BHTd.shape
    return x_BHTd.reshape(batch, key_heads, -1, width)


def _probabilities(scores: Tensor, bias_R1TC: Tensor) -> Tensor:
    """Return softmax over keys of scores [B, G, n * T, C] plus the bias, at the scores' precision.

    Sums are taken in the bias' precision, which is fp32 at least.
    """
    rows, _, queries, keys = bias_R1TC.shape
    groups, per_group = scores.shape[1], scores.shape[2] // queries
    wide = scores.to(bias_R1TC.dtype).view(-1, rows, groups, per_group, queries, keys)
    # The scores are nobody else's, so they may be changed in place.
    wide.add_(bias_R1TC[:, :, None])
    return torch.softmax(wide, dim=-1).to(scores.dtype).view(scores.shape)
