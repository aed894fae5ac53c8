"""Weights are counted as transformers builds them."""

import subprocess
import sys
from typing import Any

import pytest
from test_architectures import GPT2, LLAMA_FAMILY, SIZES

from lorasweep.hub import models
from lorasweep.hub.module_tree import build_on_meta
from lorasweep.hub.weights import num_parameters


def built(config: dict[str, Any]) -> int:
    return sum(parameter.numel() for parameter in build_on_meta(config).parameters())


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"tie_word_embeddings": True, "head_dim": 10},
        {"tie_word_embeddings": False, "attention_bias": True, "mlp_bias": True},
    ],
    ids=["defaults", "tied", "biased"],
)
@pytest.mark.parametrize("model_type", LLAMA_FAMILY)
def test_llama_family(model_type: str, more: dict[str, Any]) -> None:
    config = {"model_type": model_type, **SIZES, **more}
    assert num_parameters(config) == built(config)


@pytest.mark.parametrize("more", [{"n_positions": 20}, {}, {"n_positions": 9, "n_inner": 50}])
def test_gpt2(more: dict[str, Any]) -> None:
    assert num_parameters({**GPT2, **more}) == built({**GPT2, **more})


def test_shipped_models_have_the_sizes_that_are_known_of_them() -> None:
    assert num_parameters(models.read_config("gpt2")) == 124_439_808
    assert num_parameters(models.read_config("smollm2-135m")) == 134_515_008


def test_other_models_are_built() -> None:
    config = {"model_type": "phi", **SIZES, "num_key_value_heads": 6}
    assert num_parameters(config) == built(config)


def test_counting_imports_no_torch() -> None:
    code = """
import sys
from lorasweep.hub import models
from lorasweep.hub import weights
for name in ("gpt2", "smollm2-135m"):
    weights.num_parameters(models.read_config(name))
print("torch" in sys.modules)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "False"
