"""Models that transformers knows one attention of, `eager`: taken where it is a plain one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    CONFIG_MAPPING,
    AutoModelForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

import tiny
from lorasweep.data.trees import Tree
from lorasweep.errors import UserError
from lorasweep.model.base import load_model
from lorasweep.model.lora import Lane
from lorasweep.running.prepare import prepare
from lorasweep.running.selfcheck import freeze_checked
from reference import losses_and_gradients, own_loss, peft_gradients, randomise_B, relative

CPU = torch.device("cpu")
TOKENS = {"vocab_size": 600, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
GPTJ = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512, "rotary_dim": 4}
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
GPT_NEO = {
    "hidden_size": 32, "num_layers": 2, "num_heads": 4, "max_position_embeddings": 512,
    "attention_types": [[["global", "local"], 1]], "window_size": 512,
}  # fmt: skip
XGLM = {
    "d_model": 32, "num_layers": 2, "attention_heads": 4, "ffn_dim": 64,
    "max_position_embeddings": 512,
}  # fmt: skip
GEMMA2 = {
    **SIZES, "intermediate_size": 64, "num_key_value_heads": 2, "head_dim": 8,
    "final_logit_softcapping": None,
}  # fmt: skip
GPT_OSS = {**GEMMA2, "num_local_experts": 2, "num_experts_per_tok": 1}


def random_model(model_type: str, **sizes: Any) -> PreTrainedModel:
    torch.manual_seed(0)
    config = CONFIG_MAPPING[model_type](**sizes, **TOKENS)
    config._attn_implementation = "eager"
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.15)
    return model.eval()


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., PreTrainedModel]:
    """Save a random model and load it as a study does."""

    def load(model_type: str, **sizes: Any) -> PreTrainedModel:
        random_model(model_type, **sizes).save_pretrained(tmp_path)
        return load_model(tmp_path, CPU)

    return load


@pytest.mark.parametrize(
    ("model_type", "sizes"),
    [("gpt_neo", GPT_NEO), ("gptj", GPTJ), ("codegen", GPTJ), ("xglm", XGLM),
     ("gpt_neox_japanese", SIZES)],
)  # fmt: skip
def test_they_train_as_with_peft(
    saved: Callable[..., PreTrainedModel],
    tokenizer: PreTrainedTokenizerFast,
    trees: tuple[Tree, ...],
    model_type: str,
    sizes: dict[str, Any],
) -> None:
    base = freeze_checked(saved(model_type, **sizes), tokenizer, trees)
    assert base.shares_trunks
    lane = Lane(tuple(base.linears), 2, 8.0, 1e-3, 0.0, seed=7)
    with base.adapted([lane]) as adapters:
        randomise_B(adapters)
        (loss,), (found,) = losses_and_gradients(base, adapters, trees)
        weights = dict(adapters.weights_of(0))
    plain = random_model(model_type, **sizes)
    wanted_loss, wanted = peft_gradients(plain, lane, weights, own_loss, trees)
    assert float(loss) == pytest.approx(wanted_loss, rel=1e-5)
    for module, pair in wanted.items():
        for ours, theirs in zip(found[module], pair, strict=True):
            assert relative(ours, theirs) < 1e-4, module


@pytest.mark.parametrize(
    ("model_type", "sizes", "said"),
    [
        ("bloom", {"hidden_size": 32, "n_layer": 2, "n_head": 4}, "by places in a row .ALiBi."),
        ("mpt", {"d_model": 32, "n_layers": 2, "n_heads": 4}, "by places in a row .ALiBi."),
        ("falcon", {**SIZES, "alibi": True}, "by places in a row .ALiBi."),
        ("gemma2", GEMMA2, r"caps scores softly .attn_logit_softcapping = 50\.0"),
        ("gpt_oss", GPT_OSS, "its heads have sinks"),
    ],
)
def test_what_an_attention_has_that_ours_has_not_is_said(
    saved: Callable[..., PreTrainedModel],
    tokenizer: PreTrainedTokenizerFast,
    trees: tuple[Tree, ...],
    model_type: str,
    sizes: dict[str, Any],
    said: str,
) -> None:
    with pytest.raises(
        UserError, match=f"{model_type}: this model cannot be trained here: .*{said}"
    ):
        freeze_checked(saved(model_type, **sizes), tokenizer, trees)


def test_a_cap_that_is_off_is_none(
    saved: Callable[..., PreTrainedModel],
    tokenizer: PreTrainedTokenizerFast,
    trees: tuple[Tree, ...],
) -> None:
    model = saved("gemma2", **GEMMA2, attn_logit_softcapping=None)
    assert freeze_checked(model, tokenizer, trees).shares_trunks


def test_a_forward_pass_that_fails_by_itself_is_told(
    tokenizer: PreTrainedTokenizerFast, trees: tuple[Tree, ...]
) -> None:
    model = random_model("gptj", **GPTJ)
    model.transformer.h[0].attn.num_attention_heads = 3
    with pytest.raises(UserError, match=r"gptj: transformers' own forward .* fails with .*3"):
        freeze_checked(model, tokenizer, trees)


@pytest.mark.parametrize(
    ("changes", "is_refused"),
    [({"window_size": 1024}, False), ({"window_size": 64}, True),
     ({"window_size": 64, "attention_types": [[["global"], 2]]}, False)],
)  # fmt: skip
def test_rows_longer_than_a_local_layer_sees_are_refused(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, changes: dict[str, Any], is_refused: bool
) -> None:
    """Short questions, which the check may draw, would not show it."""
    file = tiny.write_study(tmp_path, random_model("gpt_neo", **{**GPT_NEO, **changes}), tokenizer)
    study = tiny.load(file, 'grid.targets="all-linear"')
    if not is_refused:
        prepare(study)
        return
    with pytest.raises(UserError, match="attends within a window of 64 tokens"):
        prepare(study)
