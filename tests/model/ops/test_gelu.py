"""GPT-2's GELU in one operation: transformers' values and gradients, and finite in fp16."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.activations import NewGELUActivation

from lorasweep.model.ops.gelu import fuse_gelus
from reference import relative

MakeModel = Callable[..., PreTrainedModel]


def fused(make_model: MakeModel) -> list[nn.Module]:
    model = make_model("gpt2")
    fuse_gelus(model)
    return [block.mlp.act for block in model.transformer.h]


def value_and_gradient(act: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    out = act(x)
    return out.detach(), torch.autograd.grad(out.sum(), x)[0]


@pytest.mark.parametrize("architecture", ["gpt2"])
def test_values_and_gradients_are_those_of_transformers(
    make_model: MakeModel, architecture: str
) -> None:
    x = torch.linspace(-8, 8, 4001)
    expected = value_and_gradient(NewGELUActivation(), x)
    exact = value_and_gradient(NewGELUActivation(), x.double())
    for act in fused(make_model):
        for found, theirs, wide in zip(value_and_gradient(act, x), expected, exact, strict=True):
            torch.testing.assert_close(found, theirs, rtol=1e-5, atol=2e-6)
            assert relative(found.double(), wide) < 1e-6
        for found, wide in zip(value_and_gradient(act, x.bfloat16()), exact, strict=True):
            assert relative(found.double(), wide) < 1e-2


@pytest.mark.parametrize("architecture", ["gpt2"])
def test_fp16_stays_finite_in_both_directions(make_model: MakeModel, architecture: str) -> None:
    large = torch.tensor([-1000.0, -150.0, 150.0, 1000.0], dtype=torch.float16)
    out, gradient = value_and_gradient(fused(make_model)[1], large)
    assert out.tolist() == [0, 0, 150, 1000]
    assert gradient.tolist() == [0, 0, 1, 1]
