"""The linear maps of a causal language model, by where they stand in what transformers builds."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lorasweep.errors import UserError, nearest

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel
    from transformers.pytorch_utils import Conv1D

Config = dict[str, Any]
Place = Literal["attention", "mlp", "elsewhere"]

# What users most often mean: transformers knows hundreds, and some name is near to any other.
COMMON_TYPES = ("gpt2", "llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text", "phi3")

# How modules and their classes are named in transformers' modeling files. A norm behind an
# attention is named after it; a decoder layer after its kind of attention.
ATTENTION = re.compile(r"att(entio)?n|self_att", re.IGNORECASE)
MLP = re.compile(r"mlp|ffn|feed_?forward|moe|expert", re.IGNORECASE)
NEITHER = re.compile(r"norm|layer$", re.IGNORECASE)
ROUTER = re.compile(r"^gate$|expert_gate$|router", re.IGNORECASE)
TOWER = re.compile(r"vision|visual|image|img|audio|speech", re.IGNORECASE)


@dataclass(frozen=True)
class LinearMap:
    """A linear map by its full name, and where it stands in its decoder layer."""

    name: str
    in_features: int
    out_features: int
    place: Place


@dataclass(frozen=True)
class ModuleTree:
    """The language model's linear maps in its order, without the head.

    `fused_weights` is how many weights stand in experts' parameters of three dimensions, which
    are no linear modules.
    """

    maps: tuple[LinearMap, ...]
    fused_weights: int


def module_tree(config: Config) -> ModuleTree:
    """Let transformers build a model on torch's meta device and find its linear maps.

    Towers for pictures and sound, and what joins them to the language model, are left out.
    It takes seconds but no memory. Raises UserError as `build_on_meta` does.
    """
    model = build_on_meta(config)
    decoder = _decoder(model)
    width = model.get_input_embeddings().weight.size(-1)  # type: ignore[operator]
    return ModuleTree(
        tuple(_linear_maps(model, decoder, width)),
        sum(
            parameter.numel()
            for name, parameter in _full_names(model, decoder, decoder.named_parameters())
            if parameter.dim() == 3 and min(parameter.shape) > 1 and MLP.search(name)
        ),
    )


def build_on_meta(config: Config) -> "PreTrainedModel":
    """Let transformers build a model without memory; raises UserError where it cannot."""
    import torch
    import transformers
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    model_type = config["model_type"]
    if model_type not in CONFIG_MAPPING:
        raise UserError(
            f"transformers {transformers.__version__} has no model_type {model_type!r}"
            f"{nearest(model_type, COMMON_TYPES)}"
        )
    try:
        with torch.device("meta"):
            typed = CONFIG_MAPPING[model_type].from_dict(config)
            model: PreTrainedModel = AutoModelForCausalLM.from_config(typed)  # type: ignore[no-untyped-call]
            return model
    except Exception as error:  # a config's wrong numbers surface as any type
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"no causal language model of model_type {model_type!r} from this config: {reason}"
        ) from None


def _decoder(model: "PreTrainedModel") -> "nn.Module":
    """Return the part that is the language model; the whole where transformers names none."""
    found: nn.Module | None = model.get_decoder()  # type: ignore[no-untyped-call]
    return model if found is None else found


def _full_names(
    model: "nn.Module", part: "nn.Module", named: Iterator[tuple[str, Any]]
) -> Iterator[tuple[str, Any]]:
    """Name what a part holds as the model does, without what stands in towers."""
    above = next(name for name, module in model.named_modules() if module is part)
    for name, found in named:
        full = f"{above}.{name}".strip(".")
        if not TOWER.search(full):
            yield full, found


def _linear_maps(model: "PreTrainedModel", decoder: "nn.Module", width: int) -> Iterator[LinearMap]:
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    for name, module in _full_names(model, decoder, decoder.named_modules()):
        if module is head or not isinstance(module, nn.Linear | Conv1D):
            continue
        sizes = _sizes(module)
        yield LinearMap(name, *sizes, _place(model, name, sizes, width))


def _sizes(module: "nn.Linear | Conv1D") -> tuple[int, int]:
    """Return the numbers of inputs and outputs."""
    from torch import nn

    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    return module.nx, module.nf


def _place(model: "nn.Module", name: str, sizes: tuple[int, int], width: int) -> Place:
    """Say where a map stands; `width` is that of the embeddings.

    Some layers have no module for their MLP: it is then what widens or narrows by itself, such
    as OPT's fc1 and fc2. What chooses experts is no MLP.
    """
    from torch import nn

    parts = name.split(".")
    modules = [model.get_submodule(".".join(parts[: i + 1])) for i in range(len(parts))]
    lists = [i for i, module in enumerate(modules) if isinstance(module, nn.ModuleList)]
    if not lists:
        return "elsewhere"
    first = lists[0] + 2  # the list, then a layer's number
    inside = list(zip(parts[first:-1], modules[first:-1], strict=True))
    names = [word for part, module in inside for word in (part, type(module).__name__)]
    known = [word for word in names if not NEITHER.search(word)]
    if any(map(ATTENTION.search, known)):
        return "attention"
    if any(map(ROUTER.search, parts[first:])):
        return "elsewhere"
    is_alone = not inside and sizes[0] != sizes[1] and max(sizes) > width
    return "mlp" if is_alone or any(map(MLP.search, known)) else "elsewhere"
