"""Attention by blocks is torch's own operation: values and gradients, over rows of trees."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lorasweep.data.trees import Branch, Tree, lay_out
from lorasweep.model.ops.attention import (
    BLOCK,
    bias_of,
    blocked_attention,
    fused_attention,
    reference_attention,
)

WIDTH = 4


def tree(trunk: int, branches: list[int]) -> Tree:
    """A tree of so many tokens."""
    grown = tuple(Branch(str(n), (1,) * size, (2,)) for n, size in enumerate(branches))
    return Tree("tree", (0,) * trunk, grown)


def inputs(rows: int, heads: int, key_heads: int, queries: int, keys: int) -> list[Tensor]:
    """Random queries, keys and values, laid out in memory as transformers' modules leave them."""
    generator = torch.Generator().manual_seed(rows + queries)
    shapes = ((queries, heads), (keys, key_heads), (keys, key_heads))
    made = (
        torch.randn(rows, n, h, WIDTH, generator=generator, dtype=torch.float64) for n, h in shapes
    )
    return [x.transpose(1, 2).requires_grad_() for x in made]


def assert_equal(qkv: list[Tensor], mask_R1TC: Tensor) -> None:
    """Hold values and gradients against the reference."""
    bias = bias_of(mask_R1TC, torch.float64)
    own = reference_attention(*qkv, bias, WIDTH**-0.5)
    weights = torch.randn(own.shape, dtype=torch.float64)
    expected = torch.autograd.grad((own * weights).sum(), qkv)
    for attend in (blocked_attention, fused_attention):
        ours = attend(*qkv, bias, WIDTH**-0.5)
        torch.testing.assert_close(ours, own, rtol=1e-12, atol=1e-12)
        found = torch.autograd.grad((ours * weights).sum(), qkv)
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)


@settings(max_examples=25)
@given(
    sizes=st.lists(
        st.tuples(st.integers(1, 2 * BLOCK), st.lists(st.integers(1, 40), min_size=1, max_size=4)),
        min_size=1,
        max_size=3,
    ),
    num_lanes=st.integers(1, 2),
    heads=st.sampled_from([(3, 3), (4, 2), (3, 1)]),
)
def test_rows_of_trees(
    sizes: list[tuple[int, list[int]]], num_lanes: int, heads: tuple[int, int]
) -> None:
    rows = lay_out([tree(trunk, branches) for trunk, branches in sizes])
    width = rows.input_ids_RT.shape[1]
    assert_equal(inputs(num_lanes * len(sizes), *heads, width, width), rows.mask_R1TT)


@pytest.mark.parametrize("width", [1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK])
def test_widths_at_the_borders_of_blocks(width: int) -> None:
    mask = torch.ones(1, 1, width, width, dtype=torch.bool).tril()
    assert_equal(inputs(1, 2, 2, width, width), mask)


def test_few_queries_behind_many_keys_see_what_the_mask_says() -> None:
    """As answers grow: the queries are not the last keys in order, and see some of all."""
    mask = torch.rand(2, 1, 5, 150, generator=torch.Generator().manual_seed(0)) < 0.5
    mask[..., -1] = True
    assert_equal(inputs(4, 4, 2, 5, 150), mask)


def test_a_part_of_larger_buffers_is_read_as_it_is() -> None:
    """As a cache with room gives it."""
    q, keys, values = (torch.randn(2, 3, n, WIDTH, dtype=torch.float64) for n in (5, 40, 40))
    mask = torch.rand(2, 1, 5, 30, generator=torch.Generator().manual_seed(0)) < 0.5
    mask[..., -1] = True
    assert_equal([x.requires_grad_() for x in (q, keys[:, :, :30], values[:, :, :30])], mask)


def test_bf16_is_near_the_reference_in_fp32() -> None:
    qkv = [x.detach().float() for x in inputs(2, 4, 2, 150, 150)]
    mask = torch.ones(2, 1, 150, 150, dtype=torch.bool).tril()
    exact = reference_attention(*qkv, bias_of(mask, torch.float32), 0.5)
    rounded = [x.bfloat16() for x in qkv]
    found = blocked_attention(*rounded, bias_of(mask, torch.bfloat16), 0.5)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), exact, rtol=0.05, atol=0.03)
