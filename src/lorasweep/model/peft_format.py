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
from lorasweep.model.peft_config import (
    MOST_OF_A_KEY,
    by_module,
    read_adapter_config,
    read_object,
    refuse_no_file,
    shown,
)

Weights = dict[str, tuple[Tensor, Tensor]]

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PICKLE = "adapter_model.bin"  # of PEFT before safetensors
KEY = re.compile(r"base_model\.model\.(?P<module>[\w.-]+)\.lora_(?P<part>[AB])\.weight\Z")
# What TrainedOn says of weights that nobody noted anything of.
UNQUANTISED = "none that is known"


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
    with a rank of its own. `targets` are the ends of names by which PEFT finds the same modules;
    without any, full names are written.
    """

    weights: Mapping[str, tuple[Tensor, Tensor]]
    rank: int
    scale: float
    dropout: float
    base: str
    stored_transposed: bool
    trained_on: TrainedOn | None = None
    targets: tuple[str, ...] = ()


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
        "target_modules": list(adapter.targets) or sorted({*map(whole_of, adapter.weights)}),
        "rank_pattern": fused_ranks,
        "alpha_pattern": fused_ranks,
        "fan_in_fan_out": adapter.stored_transposed,
        "bias": "none",
        "use_rslora": False,
        "init_lora_weights": True,
    }


def load_adapter(folder: Path) -> SavedAdapter:
    """Read an adapter that we or PEFT saved.

    Raises UserError for a folder without one, for kinds of adapter other than plain LoRA, and for
    numbers and shapes that are no sound adapter.
    """
    place, file = folder / CONFIG, folder / WEIGHTS
    try:
        config = read_adapter_config(place)
        tensors = _read_weights(file)
    except FileNotFoundError as error:
        raise _missing(folder, Path(error.filename).name) from None
    weights = _paired(tensors, file)
    ranks = by_module(config.rank_pattern, weights, config.r, f"{place}: rank_pattern")
    alphas = by_module(config.alpha_pattern, weights, config.lora_alpha, f"{place}: alpha_pattern")
    exponent = 0.5 if config.use_rslora else 1
    # The one scale of all modules; what a module's own differs by goes into its B.
    scale = config.lora_alpha / config.r**exponent or 1.0
    for module, (A, B) in weights.items():
        if A.shape[0] != ranks[module]:
            raise UserError(
                f"{file}: {module} has rank {A.shape[0]}, but {CONFIG} says {ranks[module]}"
            )
        own = alphas[module] / A.shape[0] ** exponent
        if own != scale:
            weights[module] = A, B * (own / scale)
    return SavedAdapter(
        weights, config.r, scale, config.lora_dropout, config.base_model_name_or_path or "",
        bool(config.fan_in_fan_out), _read_trained_on(folder / NOTE_FILE),
    )  # fmt: skip


def _read_trained_on(file: Path) -> TrainedOn | None:
    """Return what a file of ours says of the base weights; None where there is none."""
    try:
        noted = read_object(file)
        return TrainedOn(*(str(noted[field.name]) for field in fields(TrainedOn)))
    except FileNotFoundError:
        return None
    except (UserError, KeyError):
        raise UserError(
            f"{file}: says nothing of the base that the adapter was trained on"
        ) from None


def _read_weights(file: Path) -> dict[str, Tensor]:
    refuse_no_file(file)
    try:
        return dict(load_file(file))
    except (SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"{file}: not safetensors: {error}") from None


def _missing(folder: Path, name: str) -> UserError:
    why = ""
    if name == WEIGHTS and (folder / PICKLE).exists():
        why = (
            f"; {PICKLE} is a pickle, which can run code when it is loaded, so lorasweep reads "
            "safetensors only: save the adapter again with save_pretrained()"
        )
    return UserError(f"{folder}: no adapter here: {name} is missing{why}")


def _paired(tensors: Mapping[str, Tensor], file: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Return A and B by module, in fp32, each a matrix of finite numbers."""
    if not tensors:
        raise UserError(f"{file}: holds no tensors")
    parts: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        match = KEY.match(key) if len(key) <= MOST_OF_A_KEY else None
        if match is None:
            raise UserError(f"{file}: {shown(key)} is no part of a plain LoRA adapter")
        parts.setdefault(match["module"], {})[match["part"]] = _sound(tensor, f"{file}: {key}")
    for module, pair in parts.items():
        for part in {"A", "B"} - pair.keys():
            raise UserError(f"{file}: {module} has no lora_{part}")
        if pair["A"].shape[0] != pair["B"].shape[1]:
            shapes = " and ".join(str(list(pair[part].shape)) for part in "AB")
            raise UserError(f"{file}: A and B of {module} have no rank in common: {shapes}")
    return {module: (pair["A"], pair["B"]) for module, pair in parts.items()}


def _sound(tensor: Tensor, what: str) -> Tensor:
    """Return a tensor in fp32; raises UserError for what is no matrix of finite numbers."""
    if tensor.dim() != 2 or not tensor.numel():
        raise UserError(
            f"{what} has shape {list(tensor.shape)}, and a matrix is wanted (weights that were "
            "spread over processes have to be gathered before they are saved)"
        )
    if not tensor.is_floating_point():
        raise UserError(f"{what} holds {tensor.dtype}, and numbers with a point are wanted")
    numbers = tensor.to(torch.float32)
    if not numbers.isfinite().all():
        raise UserError(f"{what} holds numbers that are not finite; the adapter is damaged")
    return numbers
