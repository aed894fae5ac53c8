"""The start-up check lets sound models through and refuses those that would train on wrong sums."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from lorasweep.data.trees import Tree
from lorasweep.errors import UserError
from lorasweep.model.base import freeze
from lorasweep.running.selfcheck import decoding_logits, freeze_checked, own_logits, training_logits
from reference import questions

MakeModel = Callable[..., PreTrainedModel]
Inputs = dict[str, Any]


def change_inputs(model: PreTrainedModel, change: Callable[[Inputs], Inputs]) -> PreTrainedModel:
    """Let the body's forward pass get other inputs than it is given."""
    forward = model.base_model.forward

    def changed(*args: Any, **inputs: Any) -> Any:
        return forward(*args, **change(inputs))

    model.base_model.forward = changed
    return model


def without(*names: str) -> Callable[[Inputs], Inputs]:
    return lambda inputs: {key: value for key, value in inputs.items() if key not in names}


def plain_causal_mask(inputs: Inputs) -> Inputs:
    """A model that lets every token see all before it, whatever the mask says."""
    mask = inputs.get("attention_mask")
    if mask is None:
        return inputs
    queries, keys = mask.shape[-2:]
    past = torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)
    return {**inputs, "attention_mask": torch.zeros_like(mask).masked_fill(~past, -torch.inf)}


def refuse_restarts(inputs: Inputs) -> Inputs:
    """A model that cannot take a position twice in a row (padding apart)."""
    if _restarts(inputs.get("position_ids")):
        raise ValueError("positions must grow")
    return inputs


def renumber_restarts(inputs: Inputs) -> Inputs:
    """A model that counts positions itself, silently, wherever they do not simply grow."""
    positions = inputs.get("position_ids")
    if not _restarts(positions):
        return inputs
    assert positions is not None
    return {**inputs, "position_ids": torch.arange(positions.shape[1]).expand_as(positions)}


def _restarts(positions: Tensor | None) -> bool:
    if positions is None:
        return False
    real = [row[row > 0].tolist() for row in positions]
    return any(len(set(row)) < len(row) for row in real)


@torch.no_grad()
def test_both_layouts_agree_with_the_models_own_forward(
    architecture: str,
    make_model: MakeModel,
    tokenizer: PreTrainedTokenizerFast,
    trees: tuple[Tree, ...],
) -> None:
    own = own_logits(make_model(architecture), trees)
    assert own.shape == (sum(tree.num_answer_tokens for tree in trees), 600)
    base = freeze(make_model(architecture), tokenizer)
    for compute in (training_logits, decoding_logits):
        assert (compute(base, trees) - own).abs().max() < 1e-4


def test_sound_models_are_computed_as_trees(
    architecture: str,
    make_model: MakeModel,
    tokenizer: PreTrainedTokenizerFast,
    trees: tuple[Tree, ...],
) -> None:
    base = freeze_checked(make_model(architecture), tokenizer, trees[:3])
    assert base.shares_trunks
    assert not base.model.training
    assert not any(parameter.requires_grad for parameter in base.model.parameters())


def test_positions_that_only_other_questions_answers_would_need_are_not_missed(
    architecture: str,
    make_model: MakeModel,
    tokenizer: PreTrainedTokenizerFast,
    trees: tuple[Tree, ...],
) -> None:
    by_length = sorted(trees, key=lambda tree: len(tree.trunk_ids))
    branches = (replace(b, answer_ids=b.answer_ids[-2:]) for b in by_length[-1].branches)
    probe = (replace(by_length[-1], branches=tuple(branches)), *by_length[:-1])
    longest_row = max(len(t.trunk_ids + b.prompt_ids + b.answer_ids) for t, b in questions(probe))
    longest_prompt = max(len(t.trunk_ids + b.prompt_ids) for t, b in questions(probe))
    longest_answer = max(len(b.answer_ids) for _, b in questions(probe))
    assert longest_prompt + longest_answer - 1 > longest_row
    name = "n_positions" if architecture == "gpt2" else "max_position_embeddings"
    model = make_model(architecture, **{name: longest_row})
    assert freeze_checked(model, tokenizer, probe).shares_trunks


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without("attention_mask"), r"trees: training fails with .*separate rows: training fails"),
        (without("position_ids"), r"trees: training differs by .*separate rows: decoding differs"),
        (plain_causal_mask, r"trees: training differs by .*separate rows: decoding differs by"),
        (without("past_key_values"), r"trees: decoding .*separate rows: decoding "),
    ],
)
def test_a_model_that_ignores_what_it_is_given_is_refused(
    architecture: str,
    make_model: MakeModel,
    tokenizer: PreTrainedTokenizerFast,
    trees: tuple[Tree, ...],
    change: Callable[[Inputs], Inputs],
    reason: str,
) -> None:
    model = change_inputs(make_model(architecture), change)
    with pytest.raises(UserError, match=rf"{architecture}: this model cannot be .*{reason}"):
        freeze_checked(model, tokenizer, trees)


@pytest.mark.parametrize("change", [refuse_restarts, renumber_restarts])
def test_a_model_that_needs_growing_positions_is_computed_as_separate_rows(
    architecture: str,
    make_model: MakeModel,
    tokenizer: PreTrainedTokenizerFast,
    trees: tuple[Tree, ...],
    change: Callable[[Inputs], Inputs],
) -> None:
    model = change_inputs(make_model(architecture), change)
    assert not freeze_checked(model, tokenizer, trees).shares_trunks


def test_a_head_that_does_more_than_a_product_is_refused(
    architecture: str,
    make_model: MakeModel,
    tokenizer: PreTrainedTokenizerFast,
    trees: tuple[Tree, ...],
) -> None:
    model = make_model(architecture)
    forward = model.forward

    def capped(*args: Any, **inputs: Any) -> Any:
        output = forward(*args, **inputs)
        output.logits = torch.tanh(output.logits)
        return output

    model.forward = capped  # type: ignore[method-assign]
    with pytest.raises(UserError, match="does not give the logits of its own forward"):
        freeze_checked(model, tokenizer, trees)


def test_numbers_that_are_not_finite_are_refused(
    architecture: str,
    make_model: MakeModel,
    tokenizer: PreTrainedTokenizerFast,
    trees: tuple[Tree, ...],
) -> None:
    model = make_model(architecture)
    with torch.no_grad():
        model.get_output_embeddings().weight[5] = torch.nan
    with pytest.raises(UserError, match="training differs by nan"):
        freeze_checked(model, tokenizer, trees)
