"""The frozen RMS norm: transformers' values, and the gradients of the plain steps."""

import pytest
import torch
from torch import Tensor
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from lorasweep.model.ops.rms_norm import FrozenRMSNorm, reference_rms_norm

WIDTH = 48


def inputs(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Hidden states of several sizes, one of them zero, and weights."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 5, WIDTH, generator=generator) * torch.logspace(-3, 3, 5)[:, None]
    x[0, 0] = 0.0
    weight = torch.rand(WIDTH, generator=generator) + 0.5
    return x.to(dtype).requires_grad_(), weight.to(dtype)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 2e-2), (torch.float16, 3e-3)],
)
def test_values_and_gradients_are_the_references(dtype: torch.dtype, tolerance: float) -> None:
    x, weight = inputs(dtype)
    outputs = (FrozenRMSNorm(weight, 1e-5)(x), reference_rms_norm(x, weight, 1e-5))
    torch.testing.assert_close(outputs[0], outputs[1], rtol=tolerance, atol=tolerance)
    dy = torch.linspace(-1, 1, x.numel()).to(dtype).view(x.shape)
    found, expected = (torch.autograd.grad(y, x, dy)[0] for y in outputs)
    assert found.dtype == dtype
    scale = expected.abs().amax(-1, keepdim=True)
    torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=4 * tolerance)


def test_values_are_those_of_transformers() -> None:
    x, weight = inputs(torch.float32)
    theirs = LlamaRMSNorm(WIDTH, eps=1e-5)
    theirs.weight.data = weight
    torch.testing.assert_close(FrozenRMSNorm(weight, 1e-5)(x), theirs(x))
