"""A model's config.json, as it was read: each odd value is named before anything is built of it."""

import json
from typing import Any

from lorasweep.errors import UserError, nearest, quoted
from lorasweep.hub.architectures import FIXED_HEAD_DIM, LLAMA_FAMILY
from lorasweep.hub.module_tree import Config

CONFIG = "config.json"
# By the names that model types have for the same thing.
LAYERS = ("n_layer", "n_layers", "num_hidden_layers", "num_layers")
NULLABLE_SIZES = ("head_dim", "n_inner", "num_key_value_heads")
SIZES = (
    *(*LAYERS, *NULLABLE_SIZES, "d_model", "ffn_dim", "hidden_size", "intermediate_size"),
    *("max_position_embeddings", "n_embd", "n_head", "n_heads", "n_positions"),
    *("num_attention_heads", "num_heads", "vocab_size"),
)
# The deepest models have hundreds; of millions a plan would be made until memory is gone.
MOST_LAYERS = 10_000
MOST = 2**31 - 1
PRECISIONS = (
    *("bfloat16", "float16", "float32", "float64"),
    *("float8_e4m3fn", "float8_e5m2", "int8", "uint8"),
)


def checked_config(content: bytes, base: str) -> Config:
    """Return a config.json's values, with the sizes that it names sound.

    Raises UserError, which names the field and its value, for what no model can be built of, for
    weights that are quantised, and for a model that brings its own code.
    """
    try:
        config = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{base}: {CONFIG} is not valid JSON: {error}") from None
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise UserError(f"{base}: {CONFIG} has no model_type, so transformers cannot load it")
    _refuse_code(config, base)
    _refuse_quantised(config, base)
    for look in (_odd_size, _odd_window, _odd_heads, _odd_precision):
        if problem := look(config):
            raise UserError(f"{base}: {CONFIG}: {problem}")
    return config


def _refuse_code(config: Config, base: str) -> None:
    if "auto_map" in config:
        raise UserError(
            f"{base}: the model brings its own Python code (auto_map in {CONFIG}), "
            "and lorasweep runs no code from a model; choose one that transformers has built in"
        )


def _refuse_quantised(config: Config, base: str) -> None:
    quantised = config.get("quantization_config")
    if quantised is not None:
        method = quantised.get("quant_method") if isinstance(quantised, dict) else None
        raise UserError(
            f"{base}: its weights are quantised ({method or 'quantization_config'} in {CONFIG}), "
            "and lorasweep trains on plain ones; choose the model that they were made from"
        )


def _odd_size(config: Config) -> str | None:
    """Return what is wrong with the first size that is none."""
    for key in SIZES:
        if key in config and not _is_size(config, key):
            most = MOST_LAYERS if key in LAYERS else MOST
            return f"{key} = {quoted(config[key])}: needs a whole number from 1 to {most:,}"
    return None


def _is_size(config: Config, key: str) -> bool:
    """Say whether a value may be a size; of other families a list, or none, may be one too."""
    value, is_known = config[key], config["model_type"] in {"gpt2", *LLAMA_FAMILY}
    if value is None:
        return key in NULLABLE_SIZES or not is_known
    if isinstance(value, list | dict):
        return not is_known
    most = MOST_LAYERS if key in LAYERS else MOST
    least = 1 if is_known else 0
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _odd_window(config: Config) -> str | None:
    window = config.get("sliding_window")
    if window is None or (isinstance(window, int) and window <= MOST):
        return None
    return f"sliding_window = {quoted(window)}: needs a whole number, or null for none"


def _odd_heads(config: Config) -> str | None:
    """Return what is wrong with heads that do not part what they share."""
    model_type = config["model_type"]
    if model_type == "gpt2":
        return _indivisible(config, "n_embd", "n_head")
    if model_type not in LLAMA_FAMILY:
        return None
    has_own_width = config.get("head_dim") or model_type in FIXED_HEAD_DIM
    width = None if has_own_width else _indivisible(config, "hidden_size", "num_attention_heads")
    return width or _indivisible(config, "num_attention_heads", "num_key_value_heads")


def _indivisible(config: Config, whole: str, parts: str) -> str | None:
    of, by = config.get(whole), config.get(parts)
    if of is None or by is None or of % by == 0:
        return None
    return f"{parts} = {by} does not divide {whole} = {of}"


def _odd_precision(config: Config) -> str | None:
    for key in ("dtype", "torch_dtype"):
        value: Any = config.get(key)
        # Models of several parts have one for each.
        if value is not None and not isinstance(value, dict) and value not in PRECISIONS:
            return f"{key} = {quoted(value)}: no precision{nearest(str(value), PRECISIONS)}"
    return None
