"""Packed products are the frozen map's: values and gradients; and what cannot be packed is not."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from lorasweep.model.ops import packed
from lorasweep.model.ops.frozen import FrozenLinear
from lorasweep.model.ops.packed import PackedLinear, can_pack


@pytest.fixture
def unable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A processor for which oneDNN refuses to reorder weights."""

    def refuse(*_: Any) -> Tensor:
        raise RuntimeError("bf16 path needs the cpu support avx_ne_convert or avx512bw")

    packed._multiplies_packed.cache_clear()
    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_linear_weight", refuse)
    yield
    packed._multiplies_packed.cache_clear()


def linear(dtype: torch.dtype, bias: bool = True) -> FrozenLinear:
    """A frozen map of 24 numbers to 40."""
    generator = torch.Generator().manual_seed(0)
    weight, offsets = (torch.randn(*s, generator=generator).to(dtype) for s in ((40, 24), (40,)))
    return FrozenLinear(weight, offsets if bias else None)


def with_gradient(module: FrozenLinear, x: Tensor) -> tuple[Tensor, Tensor]:
    """The output, and the gradient of a weighted sum of it."""
    leaf = x.clone().requires_grad_()
    y = module(leaf)
    (gradient,) = torch.autograd.grad((y * torch.linspace(-1, 1, 40, dtype=y.dtype)).sum(), leaf)
    return y.detach(), gradient


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 24), (3, 24), (2, 65, 24)])
def test_values_and_gradients_are_the_references(
    dtype: torch.dtype, bias: bool, shape: tuple[int, ...]
) -> None:
    if not can_pack(torch.zeros(2, 2, dtype=dtype)):
        pytest.skip(f"this processor packs no {dtype}")
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    reference = linear(dtype, bias)
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    for found, expected in zip(
        with_gradient(PackedLinear(reference), x), with_gradient(reference, x), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def test_strided_inputs_are_read_as_they_are() -> None:
    x = torch.randn(24, 7).t()
    torch.testing.assert_close(PackedLinear(linear(torch.float32))(x), linear(torch.float32)(x))


@pytest.mark.usefixtures("unable")
def test_where_the_processor_cannot_the_reference_computes() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        assert not can_pack(torch.zeros(2, 2, dtype=dtype))
        module = PackedLinear(linear(dtype))
        x = torch.ones(3, 24, dtype=dtype)
        assert torch.equal(module(x), linear(dtype)(x))


def test_float64_and_fp16_are_left_to_the_reference() -> None:
    for dtype in (torch.float64, torch.float16):
        assert not can_pack(torch.zeros(2, 2, dtype=dtype))
