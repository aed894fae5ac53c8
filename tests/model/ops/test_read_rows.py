"""The last block's MLP computes the tokens that are read alone, and these as it always did."""

import pytest
import torch
from torch import Tensor, nn
from transformers import MixtralConfig, MixtralForCausalLM

from lorasweep.data.trees import Rows, Tree, lay_out
from lorasweep.model.base import Base
from lorasweep.model.lora import Adapters
from lorasweep.model.ops.attention import bias_of
from lorasweep.model.ops.read_rows import ReadRows, _last_mlp
from reference import mixed_lanes, randomise_B


def last_mlp(base: Base) -> nn.Module:
    mlp = _last_mlp(base.model)
    assert mlp is not None
    return mlp


def all_hidden(base: Base, rows: Rows, **changes: Tensor) -> Tensor:
    """What the body gives for rows, whoever reads it."""
    bias = bias_of(rows.mask_R1TT, base.model.dtype)
    inputs = {"input_ids": rows.input_ids_RT, "position_ids": rows.position_ids_RT}
    hidden: Tensor = base.body(attention_mask=bias, **inputs, **changes).last_hidden_state
    return hidden


def hidden_with_gradients(base: Base, adapters: Adapters, rows: Rows) -> tuple[Tensor, Tensor]:
    """What is read, and the adapters' gradients of a weighted sum of it."""
    adapters.gradients_KP.zero_()
    hidden = base.hidden_at_answers(rows, len(adapters.lanes))
    weights = torch.linspace(-1, 1, hidden.numel(), dtype=hidden.dtype).view(hidden.shape)
    adapters.accumulate((hidden * weights).sum())
    return hidden.detach(), adapters.gradients_KP.clone()


def test_what_is_read_is_as_without(exact_base: Base, trees: tuple[Tree, ...]) -> None:
    base = exact_base
    rows, lanes = lay_out(trees), mixed_lanes(base)
    with base.adapted(lanes) as adapters:
        randomise_B(adapters)
        narrow = hidden_with_gradients(base, adapters, rows)
        base.read_rows = None
        whole = hidden_with_gradients(base, adapters, rows)
    for found, expected in zip(narrow, whole, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_no_other_token_is_computed(exact_base: Base, trees: tuple[Tree, ...]) -> None:
    seen: list[int] = []
    first = next(module for module in last_mlp(exact_base).children())
    first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][..., 0].numel()))
    rows = lay_out(trees)
    exact_base.hidden_at_answers(rows, 1)
    all_hidden(exact_base, rows)
    assert seen == [len(rows.labels_N), rows.input_ids_RT.numel()]


def test_an_error_leaves_nothing_narrowed(exact_base: Base, trees: tuple[Tree, ...]) -> None:
    rows = lay_out(trees)
    with pytest.raises(IndexError):
        all_hidden(exact_base, rows, read_M=torch.tensor([10**6]))
    assert all_hidden(exact_base, rows).shape[:2] == rows.input_ids_RT.shape


def test_experts_are_left_alone() -> None:
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2, "vocab_size": 30}
    model = MixtralForCausalLM(
        MixtralConfig(num_hidden_layers=1, num_key_value_heads=2, num_local_experts=2, **sizes)
    )
    assert _last_mlp(model) is None
    ids = torch.zeros(1, 3, dtype=torch.long)
    before = model.base_model(ids).last_hidden_state
    with ReadRows(model).only(torch.tensor([2])):
        assert model.base_model(ids).last_hidden_state.equal(before)
