"""Stacked adapters: how they start, what dropout they get, and fact 3 on one batch against PEFT."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from lorasweep.data.trees import Tree, lay_out
from lorasweep.model.base import Base, freeze
from lorasweep.model.lora import Lane, TreeDropout, initial_A
from lorasweep.training.loss import answer_loss
from reference import (
    exact_norms,
    losses_and_gradients,
    mixed_lanes,
    own_loss,
    padded_loss,
    peft_gradients,
    randomise_B,
    relative,
)

MakeModel = Callable[..., PreTrainedModel]


@pytest.mark.parametrize(
    ("dtype", "loss_of", "loss_tolerance", "gradient_tolerance"),
    [
        (torch.float64, own_loss, 1e-9, 1e-9),
        (torch.float32, own_loss, 1e-5, 1e-4),
        (torch.float32, padded_loss, 1e-5, 1e-4),
    ],
)
def test_losses_and_gradients_are_those_of_peft_on_the_plain_model(
    architecture: str,
    make_model: MakeModel,
    make_base: Callable[[torch.dtype], Base],
    trees: tuple[Tree, ...],
    dtype: torch.dtype,
    loss_of: Callable[..., Tensor],
    loss_tolerance: float,
    gradient_tolerance: float,
) -> None:
    base = make_base(dtype)
    lanes = mixed_lanes(base)
    with base.adapted(lanes) as adapters:
        randomise_B(adapters)
        loss_K, gradients = losses_and_gradients(base, adapters, trees)
        weights = [adapters.weights_of(k) for k in range(len(lanes))]
    for k, lane in enumerate(lanes):
        model = make_model(architecture).to(dtype)
        if dtype == torch.float64:
            model = exact_norms(model)
        loss, expected = peft_gradients(model, lane, weights[k], loss_of, trees)
        assert float(loss_K[k]) == pytest.approx(loss, rel=loss_tolerance)
        assert expected.keys() == gradients[k].keys()
        for module, pair in expected.items():
            for ours, theirs in zip(gradients[k][module], pair, strict=True):
                assert relative(ours, theirs) < gradient_tolerance, module


def test_adapters_start_with_pefts_numbers(exact_base: Base) -> None:
    lanes = mixed_lanes(exact_base)
    with exact_base.adapted(lanes) as adapters:
        for k, lane in enumerate(lanes):
            weights = adapters.weights_of(k)
            assert tuple(weights) == lane.modules
            for A, B in weights.values():
                assert A.shape[0] == B.shape[1] == lane.rank
                assert not B.any()
                bound = A.shape[1] ** -0.5
                assert A.abs().max() <= bound
                assert A.abs().max() > 0.8 * bound
                assert abs(A.mean()) < 0.5 * bound


def test_a_start_depends_on_seed_and_module_alone(exact_base: Base) -> None:
    attention, mlp, everything = mixed_lanes(exact_base)
    name = attention.modules[0]
    with exact_base.adapted([attention]) as adapters:
        alone = adapters.weights_of(0)[name][0].clone()
    with exact_base.adapted([everything, mlp, attention]) as adapters:
        assert adapters.weights_of(2)[name][0].equal(alone)
    others = [Lane((name,), 2, 1.0, 1e-3, 0.0, seed) for seed in (7, 8)]
    assert initial_A(others[0], name, 32).equal(initial_A(attention, name, 32))
    assert not initial_A(others[1], name, 32).equal(initial_A(others[0], name, 32))
    assert not initial_A(others[0], "another", 32).equal(initial_A(others[0], name, 32))


def test_a_lanes_padding_gets_no_gradient(exact_base: Base, trees: tuple[Tree, ...]) -> None:
    lanes = mixed_lanes(exact_base)
    with exact_base.adapted(lanes) as adapters:
        randomise_B(adapters)
        adapters.accumulate(answer_loss(exact_base, lay_out(trees), len(lanes)).sum())
        held = [sum(A.numel() + B.numel() for A, B in adapters.weights_of(k).values())
                for k in range(len(lanes))]  # fmt: skip
        assert (adapters.gradients_KP != 0).sum(1).tolist() == held
        assert (adapters.values_KP != 0).sum(1).tolist() == held


def test_B_learns_at_the_lanes_ratio_of_As_rate(exact_base: Base) -> None:
    lanes = mixed_lanes(exact_base)
    lanes = [lanes[0], replace(lanes[1], lr_ratio=16.0), lanes[2]]
    with exact_base.adapted(lanes) as adapters:
        adapters.values_KP.copy_(adapters.learning_rates())
        for k, lane in enumerate(lanes):
            for A, B in adapters.weights_of(k).values():
                assert (lane.lr == A).all()
                assert (lane.lr * lane.lr_ratio == B).all()
    with exact_base.adapted(lanes[::2]) as adapters:
        assert adapters.learning_rates().tolist() == [[lane.lr] for lane in lanes[::2]]


def test_a_part_changes_its_own_outputs_and_lanes_may_mix_parts_and_wholes(
    make_model: MakeModel, tokenizer: Any, trees: tuple[Tree, ...]
) -> None:
    base = freeze(make_model("gpt2").double(), tokenizer)
    whole = "transformer.h.0.attn.c_attn"
    names = ((f"{whole}:q", f"{whole}:v"), (whole,), (f"{whole}:k", "transformer.h.1.mlp.c_fc"))
    lanes = [Lane(name, 2, 2.0, 1e-3, 0.0, seed=1) for name in names]
    with base.adapted(lanes) as adapters:
        randomise_B(adapters)
        weights = [adapters.weights_of(k) for k in range(3)]
        loss_K, gradients = losses_and_gradients(base, adapters, trees)
        x = torch.randn(3, 4, 32, dtype=torch.float64)
        changed = base.linears[whole](x) - base.linears[whole].product(x)
    assert not changed[0, :, 32:64].any()
    A, B = weights[0][f"{whole}:v"]
    torch.testing.assert_close(changed[0, :, 64:], 2.0 * x[0] @ A.T @ B.T)
    assert not changed[2][:, [*range(32), *range(64, 96)]].any()
    for k, lane in enumerate(lanes):
        with base.adapted([lane]) as alone:
            alone.put(0, weights[k])
            loss, (expected,) = losses_and_gradients(base, alone, trees)
        assert float(loss_K[k]) == pytest.approx(float(loss), rel=1e-9)
        for name, pair in expected.items():
            for ours, theirs in zip(gradients[k][name], pair, strict=True):
                assert relative(ours, theirs) < 1e-9


def test_adapters_come_off_even_after_an_error(exact_base: Base) -> None:
    def fail() -> None:
        with exact_base.adapted(mixed_lanes(exact_base)):
            assert any(linear.adapters for linear in exact_base.linears.values())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not any(linear.adapters for linear in exact_base.linears.values())


def test_put_sets_what_weights_of_returns(exact_base: Base) -> None:
    lanes = mixed_lanes(exact_base)
    with exact_base.adapted(lanes) as adapters:
        randomise_B(adapters)
        before = {name: (A.clone(), B.clone()) for name, (A, B) in adapters.weights_of(0).items()}
    with exact_base.adapted([lanes[2], lanes[0]]) as adapters:
        adapters.put(1, before)
        for name, (A, B) in adapters.weights_of(1).items():
            assert A.equal(before[name][0])
            assert B.equal(before[name][1])


def dropped(
    dropouts: Sequence[float], tree_ids: Sequence[str], sizes: Sequence[int], *, seed: int = 0,
    step: int = 0, module: int = 1, padded_to: int | None = None, features: int = 64,
) -> Tensor:  # fmt: skip
    """What dropout makes of ones [K, R, T, in]."""
    lanes = [Lane(("m",), 1, 1.0, 1e-3, dropout, seed) for dropout in dropouts]
    width = padded_to or max(sizes)
    noise = TreeDropout(lanes, tree_ids, sizes, step, width, torch.tensor([0]))
    ones = torch.ones(len(lanes), len(sizes) * width, features, dtype=torch.float64)
    return noise.apply(ones, module).view(len(lanes), len(sizes), width, features)


def test_dropout_depends_on_no_neighbour_cut_or_padding() -> None:
    alone = dropped([0.1], ["b"], [7])[0, 0]
    assert dropped([0.1], ["a", "b"], [9, 7])[0, 1, :7].equal(alone)
    assert dropped([0.1], ["b"], [7], padded_to=12)[0, 0, :7].equal(alone)
    assert dropped([0.5, 0.0, 0.1], ["b", "c"], [7, 2])[2, 0].equal(alone)


def test_dropout_of_tokens_that_are_read_is_theirs_among_all() -> None:
    read = torch.tensor([2, 5, 6])
    lanes = [Lane(("m",), 1, 1.0, 1e-3, rate, 0) for rate in (0.1, 0.5)]
    noise = TreeDropout(lanes, ["a"], [7], 0, 7, read)
    whole = noise.apply(torch.ones(2, 7, 64), 1)
    assert noise.apply(torch.ones(2, 3, 64), 1).equal(whole[:, read])


@pytest.mark.parametrize("changed", [{"seed": 1}, {"step": 1}, {"module": 2}])
def test_dropout_changes_with_seed_step_and_module(changed: dict[str, int]) -> None:
    assert not dropped([0.1], ["b"], [7], **changed).equal(dropped([0.1], ["b"], [7]))


def test_dropout_changes_with_the_tree() -> None:
    assert not dropped([0.1], ["a"], [7]).equal(dropped([0.1], ["b"], [7]))


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5])
def test_dropout_meets_its_rate_and_keeps_the_mean(rate: float) -> None:
    sample = dropped([rate], ["a", "b"], [1000, 1000])
    # Five standard deviations of a mean of 128,000.
    allowed = 5 * (rate * (1 - rate) / sample.numel()) ** 0.5
    assert float((sample == 0).double().mean()) == pytest.approx(rate, abs=allowed)
    assert float(sample.mean()) == pytest.approx(1.0, abs=allowed / (1 - rate))
    assert sample.unique().numel() == 2


def test_no_dropout_changes_nothing_and_nearly_all_is_allowed() -> None:
    assert (dropped([0.0, 0.1], ["a"], [5])[0] == 1).all()
    assert dropped([0.9999999], ["a"], [5]).isfinite().all()
