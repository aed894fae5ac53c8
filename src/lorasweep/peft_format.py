"""Adapters on disk in PEFT's format: adapter_config.json and adapter_model.safetensors.

Source of the format: PEFT's LoraConfig and its safetensors keys,
base_model.model.<module>.lora_A.weight [r, in] and lora_B.weight [out, r].
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lorasweep.errors import UserError

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
KEY = re.compile(r"^base_model\.model\.(?P<module>.+)\.lora_(?P<part>[AB])\.weight$")
# Settings of PEFT's LoraConfig under which the same two matrices mean something else, or are not
# the whole adapter.
OTHER_KINDS = (
    *("use_dora", "lora_bias", "rank_pattern", "alpha_pattern", "modules_to_save"),
    *("trainable_token_indices", "target_parameters", "layer_replication", "use_qalora"),
    *("alora_invocation_tokens", "use_bdlora", "arrow_config", "kasa_config", "monteclora_config"),
)
# Other ways to initialise (PiSSA, OLoRA, CorDA, ...) change the base model's weights too.
KEEPING_THE_BASE = (True, False, "gaussian", "eva", "orthogonal")


@dataclass(frozen=True, slots=True)
class SavedAdapter:
    """An adapter without its base: A [r, in] and B [out, r] by module, and the scale of B A."""

    weights: Mapping[str, tuple[Tensor, Tensor]]
    rank: int
    scale: float
    dropout: float
    base: str
    stored_transposed: bool


def save_adapter(folder: Path, adapter: SavedAdapter) -> None:
    """Write an adapter that peft.PeftModel.from_pretrained loads."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for module, (A, B) in adapter.weights.items():
        tensors[f"base_model.model.{module}.lora_A.weight"] = A.float().cpu().contiguous()
        tensors[f"base_model.model.{module}.lora_B.weight"] = B.float().cpu().contiguous()
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(_config(adapter), indent=2) + "\n")


def _config(adapter: SavedAdapter) -> dict[str, Any]:
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": adapter.base,
        "inference_mode": True,
        "r": adapter.rank,
        "lora_alpha": adapter.scale * adapter.rank,
        "lora_dropout": adapter.dropout,
        # Full names, so that a bare c_proj cannot match another module too.
        "target_modules": sorted(adapter.weights),
        "fan_in_fan_out": adapter.stored_transposed,
        "bias": "none",
        "use_rslora": False,
        "init_lora_weights": True,
    }


def load_adapter(folder: Path) -> SavedAdapter:
    """Read an adapter that we or PEFT saved.

    Raises UserError for a folder without one, and for kinds of adapter other than plain LoRA.
    """
    config = _read_config(folder / CONFIG)
    _refuse_other_kinds(folder / CONFIG, config)
    weights = _paired(_read_weights(folder / WEIGHTS), folder / WEIGHTS)
    try:
        rank, alpha = int(config["r"]), float(config["lora_alpha"])
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{folder / CONFIG}: not a PEFT config: r and lora_alpha?") from None
    divisor = rank**0.5 if config.get("use_rslora") else rank
    return SavedAdapter(
        weights, rank, alpha / divisor, config.get("lora_dropout", 0.0),
        str(config.get("base_model_name_or_path")), bool(config.get("fan_in_fan_out")),
    )  # fmt: skip


def _read_config(file: Path) -> dict[str, Any]:
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _missing(file) from None
    except ValueError as error:
        raise UserError(f"{file}: not a PEFT config: {error}") from None
    if not isinstance(config, dict):
        raise UserError(f"{file}: not a PEFT config: expected a JSON object")
    return config


def _read_weights(file: Path) -> dict[str, Tensor]:
    try:
        return dict(load_file(file))
    except FileNotFoundError:
        raise _missing(file) from None
    except SafetensorError as error:
        raise UserError(f"{file}: not safetensors: {error}") from None


def _missing(file: Path) -> UserError:
    return UserError(f"{file.parent}: no adapter here: {file.name} is missing")


def _refuse_other_kinds(file: Path, config: Mapping[str, Any]) -> None:
    found = [key for key in OTHER_KINDS if config.get(key)]
    if config.get("peft_type") != "LORA":
        found.append("peft_type")
    if config.get("bias", "none") != "none":
        found.append("bias")
    if config.get("init_lora_weights", True) not in KEEPING_THE_BASE:
        found.append("init_lora_weights")
    if found:
        raise UserError(f"{file}: only plain LoRA is read; this one sets {found[0]}")


def _paired(tensors: Mapping[str, Tensor], file: Path) -> dict[str, tuple[Tensor, Tensor]]:
    parts: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        match = KEY.match(key)
        if match is None:
            raise UserError(f"{file}: {key!r} is no part of a plain LoRA adapter")
        parts.setdefault(match["module"], {})[match["part"]] = tensor.to(torch.float32)
    for module, pair in parts.items():
        for part in {"A", "B"} - pair.keys():
            raise UserError(f"{file}: {module} has no lora_{part}")
    return {module: (pair["A"], pair["B"]) for module, pair in parts.items()}
