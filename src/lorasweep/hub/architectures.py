"""The linear modules of a causal language model, from its config.json alone."""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lorasweep.hub.module_tree import Config, LinearMap, ModuleTree, module_tree

# The same module names and shapes (transformers' modeling_llama.py and the modeling files of the
# others; the tests build each one); only the default of head_dim differs by class.
LLAMA_FAMILY = frozenset(
    {
        *("llama", "mistral", "qwen2", "qwen3", "smollm3", "granite"),
        *("olmo", "olmo2", "gemma", "gemma2", "gemma3_text"),
    }
)
FIXED_HEAD_DIM = {"qwen3": 128, "gemma": 256, "gemma2": 256, "gemma3_text": 256}
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
QV = ("q_proj", "v_proj")
GPT2_SETS = {
    "attn": GPT2_ATTENTION,
    "mlp": GPT2_MLP,
    "attn_mlp": GPT2_ATTENTION + GPT2_MLP,
    "qv": ["attn.c_attn:q", "attn.c_attn:v"],
}
LLAMA_SETS = {
    "attn": LLAMA_ATTENTION,
    "mlp": LLAMA_MLP,
    "attn_mlp": LLAMA_ATTENTION + LLAMA_MLP,
    "qv": list(QV),
}


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


@dataclass(frozen=True)
class Architecture:
    """What adapters can be put on: linear modules in the model's order, and named sets of them.

    `fused_weights` is how many weights stand in fused parameters of experts, which no adapter
    is put on.
    """

    modules: tuple[LinearModule, ...]
    sets: Mapping[str, Sequence[str]]
    fused_weights: int = 0


def architecture(config: Config) -> Architecture:
    """Return a model's linear modules without the output head, and its sets of target modules.

    From the config's numbers for GPT-2 and the Llama family; any other model is built by
    transformers on torch's meta device, which takes seconds but no memory, and its sets are
    found by where the modules stand. Raises UserError for a model_type that transformers does
    not know.
    """
    model_type = config["model_type"]
    if model_type == "gpt2" and has_numbers(config, GPT2_KEYS):
        return Architecture(tuple(_gpt2_modules(config)), GPT2_SETS)
    if model_type in LLAMA_FAMILY and has_numbers(config, LLAMA_KEYS):
        return Architecture(tuple(_llama_modules(config)), LLAMA_SETS)
    return _of_tree(module_tree(config), is_gpt2=model_type == "gpt2")


def linear_modules(config: Config) -> list[LinearModule]:
    """Return the linear modules as `architecture` does."""
    return list(architecture(config).modules)


def _of_tree(tree: ModuleTree, *, is_gpt2: bool) -> Architecture:
    modules = tuple(
        LinearModule(
            found.name,
            found.in_features,
            found.out_features,
            is_fused=is_gpt2 and found.name.endswith(".attn.c_attn"),
        )
        for found in tree.maps
    )
    return Architecture(modules, GPT2_SETS if is_gpt2 else _sets(tree.maps), tree.fused_weights)


def _sets(maps: Iterable[LinearMap]) -> dict[str, list[str]]:
    """Return the sets that have modules; a set of two kinds needs both."""
    found: dict[str, dict[str, None]] = {"attention": {}, "mlp": {}, "elsewhere": {}}
    for each in maps:
        found[each.place][suffix_of(each.name)] = None
    attention, mlp = list(found["attention"]), list(found["mlp"])
    queries, values = (
        [name for name in attention if name.rpartition(".")[2] == leaf] for leaf in QV
    )
    sets = {
        "attn": attention,
        "mlp": mlp,
        "attn_mlp": attention + mlp if attention and mlp else [],
        "qv": queries + values if queries and values else [],
    }
    return {name: names for name, names in sets.items() if names}


def suffix_of(full_name: str) -> str:
    """Return the part of a module's name that all layers share: after the last layer number."""
    parts = full_name.split(".")
    pairs = enumerate(itertools.pairwise(parts))
    # a map of a list, such as CTRL's ffn.0, has a number for its name
    numbers = [i for i, (part, follows) in pairs if part.isdigit() and not follows.isdigit()]
    return ".".join(parts[numbers[-1] + 1 :]) if numbers else full_name


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
