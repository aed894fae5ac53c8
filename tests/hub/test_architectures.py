from typing import Any

import pytest
import torch
import transformers
from torch import nn
from transformers.pytorch_utils import Conv1D

from lorasweep.errors import UserError
from lorasweep.hub import models
from lorasweep.hub.architectures import (
    LinearModule,
    architecture,
    linear_modules,
    outputs_of,
)

SIZES = {
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "vocab_size": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GPT2 = {"model_type": "gpt2", "n_embd": 32, "n_head": 2, "n_layer": 3, "vocab_size": 64}
LLAMA_FAMILY = [
    *("llama", "mistral", "qwen2", "qwen3", "smollm3", "granite"),
    *("olmo", "olmo2", "gemma", "gemma2", "gemma3_text"),
]


def real_modules(config: dict[str, Any]) -> list[LinearModule]:
    typed = transformers.CONFIG_MAPPING[config["model_type"]].from_dict(config)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(typed)
    found = []
    for name, module in model.named_modules():
        if name in ("lm_head", "embed_out"):
            continue
        if isinstance(module, nn.Linear):
            found.append(LinearModule(name, module.in_features, module.out_features))
        if isinstance(module, Conv1D):
            found.append(LinearModule(name, *module.weight.shape))
    return found


@pytest.mark.parametrize("head_dim", [{}, {"head_dim": 10}])
@pytest.mark.parametrize("model_type", LLAMA_FAMILY)
def test_llama_family_is_what_transformers_builds(
    model_type: str, head_dim: dict[str, int]
) -> None:
    config = {"model_type": model_type, **SIZES, **head_dim}
    assert linear_modules(config) == real_modules(config)


@pytest.mark.parametrize("inner", [{}, {"n_inner": None}, {"n_inner": 80}])
def test_gpt2_is_what_transformers_builds(inner: dict[str, int | None]) -> None:
    config = {**GPT2, **inner}
    assert linear_modules(config) == real_modules(config)


@pytest.mark.parametrize("name", ["gpt2", models.SMOLLM2])
def test_shipped_configs_are_what_transformers_builds(name: str) -> None:
    config = models.read_config(name)
    assert linear_modules(config) == real_modules(config)


def test_gpt2_has_48_linear_modules_and_smollm2_210() -> None:
    assert len(linear_modules(models.read_config("gpt2"))) == 48
    assert len(linear_modules(models.read_config("smollm2-135m"))) == 210


@pytest.mark.parametrize("left_out", ["num_key_value_heads", "intermediate_size"])
@pytest.mark.parametrize("model_type", ["llama", "mistral", "qwen2"])
def test_sizes_left_out_get_the_defaults_of_their_class(model_type: str, left_out: str) -> None:
    config = {"model_type": model_type, **SIZES, "num_attention_heads": 32, "hidden_size": 64}
    del config[left_out]
    assert linear_modules(config) == real_modules(config)


@pytest.mark.parametrize(
    "config",
    [
        {
            "model_type": "gpt_neox",
            "hidden_size": 32,
            "num_attention_heads": 2,
            "num_hidden_layers": 2,
            "intermediate_size": 64,
        },
        {"model_type": "phi", **SIZES, "num_key_value_heads": 6},
    ],
)
def test_other_architectures_are_built_by_transformers(config: dict[str, Any]) -> None:
    modules = linear_modules(config)
    assert modules
    assert modules == real_modules(config)


@pytest.mark.parametrize("config", [GPT2, {"model_type": "llama", **SIZES}])
def test_every_built_in_name_is_a_module(config: dict[str, Any]) -> None:
    wholes = linear_modules(config)
    modules = [*wholes, *(part for module in wholes for part in module.parts())]
    for names in architecture(config).sets.values():
        for name in names:
            assert any(module.name.endswith(f".{name}") for module in modules)
    both = architecture(config).sets["attn_mlp"]
    assert all(any(m.name.endswith(f".{name}") for name in both) for m in wholes)


def test_gpt2s_fused_attention_has_three_parts_and_nothing_else_has_any() -> None:
    modules = linear_modules(GPT2)
    found = {module.name: module.parts() for module in modules if module.parts()}
    assert [*found] == [m.name for m in modules if m.name.endswith("attn.c_attn")]
    q, k, v = found["transformer.h.1.attn.c_attn"]
    assert [part.name[-2:] for part in (q, k, v)] == [":q", ":k", ":v"]
    width = GPT2["n_embd"]
    assert {(p.in_features, p.out_features) for p in (q, k, v)} == {(width, width)}
    spans = [outputs_of(part.name, 3 * width) for part in (q, k, v)]
    assert spans == [slice(i * width, (i + 1) * width) for i in range(3)]
    assert outputs_of("transformer.h.1.attn.c_attn", 3 * width) == slice(0, 3 * width)
    assert not any(m.parts() for m in linear_modules({"model_type": "llama", **SIZES}))


def test_an_unknown_model_type_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match="no model_type 'llamma'; did you mean 'llama'"):
        linear_modules({"model_type": "llamma"})


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "clip"},
        {"model_type": "llama", **SIZES, "hidden_size": "wide"},
    ],
)
def test_a_config_that_makes_no_language_model_is_a_clear_error(config: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="no causal language model of model_type") as error:
        linear_modules(config)
    assert "\n" not in str(error.value)
