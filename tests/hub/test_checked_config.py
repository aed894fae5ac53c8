"""Odd values of a config.json are named, each with its field, before anything is built of it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lorasweep.errors import UserError
from lorasweep.hub.checked_config import checked_config
from lorasweep.hub.models import read_config

GPT2 = {
    "model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64,
    "vocab_size": 600,
}  # fmt: skip
LLAMA = {
    "model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
    "vocab_size": 600,
}  # fmt: skip
OTHER = {"model_type": "gpt_neox", "hidden_size": 32}


def checked(config: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return checked_config(json.dumps({**config, **changes}).encode(), "mine")


def refusal(config: dict[str, Any], **changes: Any) -> str:
    with pytest.raises(UserError) as error:
        checked(config, **changes)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("value", ["x", -1, 0, 1.5, [1], {}, True, 10**400])
@pytest.mark.parametrize(
    ("config", "key"),
    [(GPT2, key) for key in (*GPT2, "n_inner") if key != "model_type"]
    + [(LLAMA, key) for key in (*LLAMA, "head_dim") if key != "model_type"],
)
def test_a_size_that_is_none_is_named(config: dict[str, Any], key: str, value: Any) -> None:
    said = refusal(config, **{key: value})
    assert said.startswith(f"mine: config.json: {key} = {str(value)[:20] if value != 'x' else ''}")
    assert "needs a whole number from 1 to" in said
    assert len(said) < 200


@pytest.mark.parametrize("key", ["n_layer", "num_hidden_layers", "n_layers"])
def test_layers_that_no_memory_holds_are_refused_at_once(key: str) -> None:
    assert f"{key} = 10000000: needs a whole number from 1 to 10,000" in refusal(
        {"model_type": "mpt"}, **{key: 10**7}
    )


@pytest.mark.parametrize(
    ("config", "changes"),
    [
        (GPT2, {"n_inner": None}),
        (LLAMA, {"num_key_value_heads": None, "head_dim": None}),
        (LLAMA, {"sliding_window": 64, "dtype": "bfloat16"}),
        # What else there is, transformers has to say.
        (OTHER, {"intermediate_size": [64, 32], "vocab_size": None, "num_key_value_heads": [1, 2]}),
        (OTHER, {"dtype": {"text_config": "float32"}, "num_heads": 0}),
        ({"model_type": "gemma"}, {"hidden_size": 48, "num_attention_heads": 5}),
    ],
)
def test_what_may_be_is_left_alone(config: dict[str, Any], changes: dict[str, Any]) -> None:
    assert checked(config, **changes) == {**config, **changes}


@pytest.mark.parametrize(
    ("config", "changes", "said"),
    [
        (GPT2, {"n_head": 3}, "n_head = 3 does not divide n_embd = 32"),
        (LLAMA, {"num_attention_heads": 5}, "num_attention_heads = 5 does not divide hidden_size"),
        (LLAMA, {"num_key_value_heads": 3}, "num_key_value_heads = 3 does not divide num_attent"),
        (LLAMA, {"head_dim": 8, "num_key_value_heads": 3}, "3 does not divide num_attention"),
        (LLAMA, {"torch_dtype": "flaot16"}, "torch_dtype = 'flaot16': no precision; did you mean"),
        (LLAMA, {"dtype": "auto"}, "dtype = 'auto': no precision; known: bfloat16, float16"),
        (LLAMA, {"dtype": ["float16"]}, "dtype = ['float16']: no precision; did you mean"),
        (LLAMA, {"sliding_window": "x"}, "sliding_window = 'x': needs a whole number, or null"),
        (LLAMA, {"sliding_window": {}}, "sliding_window = {}: needs"),
        (LLAMA, {"quantization_config": {}}, "its weights are quantised (quantization_config in"),
    ],
)
def test_values_that_do_not_go_together_are_named(
    config: dict[str, Any], changes: dict[str, Any], said: str
) -> None:
    assert said in refusal(config, **changes)


def test_a_config_of_endless_depth_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match=re.escape("config.json is not valid JSON")):
        read_config(str(tmp_path))
