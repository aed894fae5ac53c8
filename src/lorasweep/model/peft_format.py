"""Adapters on disk in PEFT's format: adapter_config.json and adapter_model.safetensors.

Beside them lorasweep.json says what base weights the adapter was trained on.

Source of the format: PEFT's LoraConfig and its safetensors keys,
base_model.model.<module>.lora_A.weight [r, in] and lora_B.weight [out, r].
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lorasweep.errors import UserError
from lorasweep.hub.architectures import FUSED, outputs_of, whole_of
from lorasweep.hub.models import NOTE_FILE
from lorasweep.model.lora import Lane

Weights = dict[str, tuple[Tensor, Tensor]]

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
KEY = re.compile(r"^base_model\.model\.(?P<module>.+)\.lora_(?P<part>[AB])\.weight$")
# What TrainedOn says of weights that nobody noted anything of.
UNQUANTISED = "none that is known"
# Settings of PEFT's LoraConfig under which the same two matrices mean something else, or are not
# the whole adapter.
OTHER_KINDS = (
    *("use_dora", "lora_bias", "modules_to_save"),
    *("trainable_token_indices", "target_parameters", "layer_replication", "use_qalora"),
    *("alora_invocation_tokens", "use_bdlora", "arrow_config", "kasa_config", "monteclora_config"),
)
# Other ways to initialise (PiSSA, OLoRA, CorDA, ...) change the base model's weights too.
KEEPING_THE_BASE = (True, False, "gaussian", "eva", "orthogonal")


@dataclass(frozen=True, slots=True)
class TrainedOn:
    """The base weights that an adapter was trained on; on others it answers slightly differently.

    `precision` is what they were rounded to, and `quantisation` how they were quantised before.
    """

    base: str
    precision: str
    quantisation: str


@dataclass(frozen=True, slots=True)
class SavedAdapter:
    """An adapter without its base: A [r, in] and B [out, r] by module, and the scale of B A.

    What is to be saved may hold parts of fused modules; what is loaded holds whole modules, each
    with a rank of its own.
    """

    weights: Mapping[str, tuple[Tensor, Tensor]]
    rank: int
    scale: float
    dropout: float
    base: str
    stored_transposed: bool
    trained_on: TrainedOn | None = None


def answering_lane(adapter: SavedAdapter) -> Lane:
    """Return the lane that an adapter from disk takes to answer; nothing of it is trained."""
    # On disk, parts of a fused module are one adapter of a larger rank than the run's.
    rank = max(A.shape[0] for A, _ in adapter.weights.values())
    return Lane(tuple(adapter.weights), rank, adapter.scale, 0.0, 0.0, 0)


def save_adapter(folder: Path, adapter: SavedAdapter) -> None:
    """Write an adapter that peft.PeftModel.from_pretrained loads.

    The n parts of a fused module become one adapter of rank n r, with a block-diagonal B that
    holds the scale.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fused = _fused(adapter)
    tensors = {}
    for module, (A, B) in {**_wholes(adapter), **fused}.items():
        tensors[f"base_model.model.{module}.lora_A.weight"] = A.float().cpu().contiguous()
        tensors[f"base_model.model.{module}.lora_B.weight"] = B.float().cpu().contiguous()
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    ranks = {module: A.shape[0] for module, (A, _) in fused.items()}
    (folder / CONFIG).write_text(json.dumps(_config(adapter, ranks), indent=2) + "\n")
    if adapter.trained_on is not None:
        (folder / NOTE_FILE).write_text(json.dumps(asdict(adapter.trained_on), indent=2) + "\n")


def _wholes(adapter: SavedAdapter) -> Weights:
    return {name: pair for name, pair in adapter.weights.items() if name == whole_of(name)}


def _fused(adapter: SavedAdapter) -> Weights:
    """Return one A [n r, in] and scale B [out, n r] for each module that has n parts here."""
    parts: dict[str, list[str]] = {}
    for name in adapter.weights.keys() - _wholes(adapter).keys():
        parts.setdefault(whole_of(name), []).append(name)
    return {module: _block_diagonal(adapter, sorted(names)) for module, names in parts.items()}


def _block_diagonal(adapter: SavedAdapter, names: list[str]) -> tuple[Tensor, Tensor]:
    As, Bs = zip(*(adapter.weights[name] for name in names), strict=True)
    out_features, rank = len(FUSED) * Bs[0].shape[0], As[0].shape[0]
    B = Bs[0].new_zeros(out_features, rank * len(names))
    for i, name in enumerate(names):
        B[outputs_of(name, out_features), i * rank : (i + 1) * rank] = adapter.scale * Bs[i]
    return torch.cat(As), B


def _config(adapter: SavedAdapter, fused_ranks: Mapping[str, int]) -> dict[str, Any]:
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": adapter.base,
        "inference_mode": True,
        "r": adapter.rank,
        "lora_alpha": adapter.scale * adapter.rank,
        "lora_dropout": adapter.dropout,
        # Full names, so that a bare c_proj cannot match another module too.
        "target_modules": sorted({whole_of(name) for name in adapter.weights}),
        "rank_pattern": fused_ranks,
        "alpha_pattern": fused_ranks,
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
    exponent = 0.5 if config.get("use_rslora") else 1
    scale = alpha / rank**exponent
    for module, (A, B) in weights.items():
        own = _own_alpha(config, module, alpha) / A.shape[0] ** exponent
        if own != scale:
            weights[module] = A, B * (own / scale)
    return SavedAdapter(
        weights, rank, scale, config.get("lora_dropout", 0.0),
        str(config.get("base_model_name_or_path")), bool(config.get("fan_in_fan_out")),
        _read_trained_on(folder / NOTE_FILE),
    )  # fmt: skip


def _read_trained_on(file: Path) -> TrainedOn | None:
    """Return what a file of ours says of the base weights; None where there is none."""
    try:
        noted = json.loads(file.read_text("utf-8"))
        return TrainedOn(*(str(noted[field.name]) for field in fields(TrainedOn)))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{file}: says nothing of the base that the adapter was trained on"
        ) from None


def _own_alpha(config: Mapping[str, Any], module: str, alpha: float) -> float:
    """Return a module's alpha: a key of alpha_pattern is a regular expression for names' ends."""
    patterns: Mapping[str, float] = config.get("alpha_pattern") or {}
    own = (v for key, v in patterns.items() if re.match(rf"(.*\.)?({key})$", module))
    return float(next(own, alpha))


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
