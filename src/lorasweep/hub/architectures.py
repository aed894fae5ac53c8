"""The linear modules of a causal language model, from its config.json alone."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lorasweep.errors import UserError, nearest

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Config = dict[str, Any]

# The same module names and shapes (transformers' modeling_llama.py and the modeling files of the
# others; the tests build each one); only the default of head_dim differs by class.
LLAMA_FAMILY = frozenset(
    {
        *("llama", "mistral", "qwen2", "qwen3", "smollm3", "granite"),
        *("olmo", "olmo2", "gemma", "gemma2"),
    }
)
FIXED_HEAD_DIM = {"qwen3": 128, "gemma": 256, "gemma2": 256}
LLAMA_KEYS = (
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
)
GPT2_KEYS = ("n_embd", "n_layer")

LAYER = re.compile(r"\.\d+\.")

# Blocks of equal size, in this order, of the outputs of a linear map that is several in one.
FUSED = ("q", "k", "v")

GPT2_ATTENTION = ["attn.c_attn", "attn.c_proj"]
GPT2_MLP = ["mlp.c_fc", "mlp.c_proj"]
LLAMA_ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
LLAMA_MLP = ["gate_proj", "up_proj", "down_proj"]


@dataclass(frozen=True)
class LinearModule:
    """A linear module that an adapter can be put on, named as in the *ForCausalLM model.

    A fused module, such as GPT-2's c_attn, has parts: "attn.c_attn:q" is a third of its outputs.
    """

    name: str
    in_features: int
    out_features: int
    is_fused: bool = field(default=False, compare=False)

    def parts(self) -> list["LinearModule"]:
        """Return the parts of a fused module; none of any other."""
        width = self.out_features // len(FUSED)
        names = [f"{self.name}:{part}" for part in FUSED] if self.is_fused else []
        return [LinearModule(name, self.in_features, width) for name in names]


def whole_of(name: str) -> str:
    """Return the module that a name of a module or of a part stands in."""
    return name.partition(":")[0]


def module_kinds(modules: Iterable[str]) -> str:
    """Return the kinds of modules and how many of each: "h.*.attn.c_attn × 12"."""
    kinds = Counter(LAYER.sub(".*.", f".{name}").strip(".") for name in modules)
    return ", ".join(f"{kind} × {number}" for kind, number in kinds.items())


def outputs_of(name: str, out_features: int) -> slice:
    """Return the outputs of a module of `out_features` that a module's or part's name means."""
    part = name.partition(":")[2]
    width = out_features // len(FUSED)
    start = FUSED.index(part) * width if part else 0
    return slice(start, start + width if part else out_features)


def linear_modules(config: Config) -> list[LinearModule]:
    """Return the linear modules in the model's order, without the output head.

    Built from the config's numbers for GPT-2 and the Llama family; any other model is built by
    transformers on torch's meta device, which takes seconds but no memory. Raises UserError for
    a model_type that transformers does not know.
    """
    model_type = config["model_type"]
    if model_type == "gpt2" and has_numbers(config, GPT2_KEYS):
        return list(_gpt2_modules(config))
    if model_type in LLAMA_FAMILY and has_numbers(config, LLAMA_KEYS):
        return list(_llama_modules(config))
    return list(_modules_of_built_model(config))


def built_in_targets(config: Config) -> dict[str, list[str]]:
    """Return the named sets of target modules of an architecture.

    Architectures without sets of their own have none: their modules are named one by one, or
    all at once as "all-linear", which every model knows.
    """
    if config["model_type"] == "gpt2":
        return {
            "attn": GPT2_ATTENTION,
            "mlp": GPT2_MLP,
            "attn_mlp": GPT2_ATTENTION + GPT2_MLP,
            "qv": ["attn.c_attn:q", "attn.c_attn:v"],
        }
    if config["model_type"] in LLAMA_FAMILY:
        return {
            "attn": LLAMA_ATTENTION,
            "mlp": LLAMA_MLP,
            "attn_mlp": LLAMA_ATTENTION + LLAMA_MLP,
            "qv": ["q_proj", "v_proj"],
        }
    return {}


def _gpt2_modules(config: Config) -> Iterator[LinearModule]:
    hidden = config["n_embd"]
    inner = config.get("n_inner") or 4 * hidden
    for layer in range(config["n_layer"]):
        block = f"transformer.h.{layer}"
        yield LinearModule(f"{block}.attn.c_attn", hidden, 3 * hidden, is_fused=True)
        yield LinearModule(f"{block}.attn.c_proj", hidden, hidden)
        yield LinearModule(f"{block}.mlp.c_fc", hidden, inner)
        yield LinearModule(f"{block}.mlp.c_proj", inner, hidden)


def _llama_modules(config: Config) -> Iterator[LinearModule]:
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    heads = config["num_attention_heads"]
    default = FIXED_HEAD_DIM.get(config["model_type"], hidden // heads)
    head_dim = config.get("head_dim") or default
    queries, keys = heads * head_dim, config["num_key_value_heads"] * head_dim
    for layer in range(config["num_hidden_layers"]):
        block = f"model.layers.{layer}"
        yield LinearModule(f"{block}.self_attn.q_proj", hidden, queries)
        yield LinearModule(f"{block}.self_attn.k_proj", hidden, keys)
        yield LinearModule(f"{block}.self_attn.v_proj", hidden, keys)
        yield LinearModule(f"{block}.self_attn.o_proj", queries, hidden)
        yield LinearModule(f"{block}.mlp.gate_proj", hidden, inner)
        yield LinearModule(f"{block}.mlp.up_proj", hidden, inner)
        yield LinearModule(f"{block}.mlp.down_proj", inner, hidden)


def has_numbers(config: Config, keys: Iterable[str]) -> bool:
    """Tell whether the sizes are all there: what a config leaves out is its class's to say."""
    return all(isinstance(config.get(key), int) and config[key] > 0 for key in keys)


def _modules_of_built_model(config: Config) -> Iterator[LinearModule]:
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    model = build_on_meta(config)
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    for name, module in model.named_modules():
        if module is head:
            continue
        if isinstance(module, nn.Linear):
            yield LinearModule(name, module.in_features, module.out_features)
        elif isinstance(module, Conv1D):
            is_fused = config["model_type"] == "gpt2" and name.endswith(".attn.c_attn")
            yield LinearModule(name, module.nx, module.nf, is_fused)


def build_on_meta(config: Config) -> "PreTrainedModel":
    """Let transformers build a model without memory; raises UserError where it cannot."""
    import torch
    import transformers
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    model_type = config["model_type"]
    if model_type not in CONFIG_MAPPING:
        close = nearest(model_type, [*LLAMA_FAMILY, "gpt2"])
        raise UserError(
            f"transformers {transformers.__version__} has no model_type {model_type!r}{close}"
        )
    try:
        with torch.device("meta"):
            typed = CONFIG_MAPPING[model_type].from_dict(config)
            model: PreTrainedModel = AutoModelForCausalLM.from_config(typed)  # type: ignore[no-untyped-call]
            return model
    except Exception as error:  # a config's wrong numbers surface as any type
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"no causal language model of model_type {model_type!r} from this config: {reason}"
        ) from None
