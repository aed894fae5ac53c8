"""The number of all weights of a causal language model, from its config.json alone."""

from collections.abc import Iterable
from dataclasses import dataclass

from lorasweep.hub.architectures import LinearModule, has_numbers, linear_modules
from lorasweep.hub.module_tree import Config, build_on_meta

QUERIES_KEYS_VALUES = ("q_proj", "k_proj", "v_proj")
ATTENTION = (*QUERIES_KEYS_VALUES, "o_proj")
MLP = ("gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, slots=True)
class _Extras:
    """What a Llama-type model has beside its linear maps and its embedding.

    `norms` counts the norms of a layer as wide as the model; a last norm follows the layers where
    there are any. `head_norms` are of queries and keys: "one" for a head, "all" for their outputs.
    """

    norms: int = 2
    head_norms: str = ""
    ties_head: bool = False
    always_biased: tuple[str, ...] = ()


# By the modeling files of transformers; the tests build each one.
EXTRAS = {
    "llama": _Extras(),
    "mistral": _Extras(),
    "granite": _Extras(),
    "qwen2": _Extras(always_biased=QUERIES_KEYS_VALUES),
    "qwen3": _Extras(head_norms="one"),
    "smollm3": _Extras(ties_head=True),
    "olmo": _Extras(norms=0),
    "olmo2": _Extras(head_norms="all"),
    "gemma": _Extras(ties_head=True),
    "gemma2": _Extras(norms=4, ties_head=True),
    "gemma3_text": _Extras(norms=4, head_norms="one", ties_head=True),
}
# Model types that ignore these switches of a config.
WITHOUT_BIASES = frozenset({"mistral", "qwen2"})
WITH_MLP_BIAS = frozenset({"llama", "smollm3", "granite"})


def num_parameters(config: Config) -> int:
    """Return the number of all weights of a model, tied ones once.

    From the config's numbers for GPT-2 and the Llama family; transformers builds any other model
    on torch's meta device. Raises UserError as `linear_modules` does.
    """
    model_type = config["model_type"]
    if model_type == "gpt2" and has_numbers(config, ("n_embd", "vocab_size", "n_positions")):
        return _gpt2(config)
    if model_type in EXTRAS and has_numbers(config, ("hidden_size", "vocab_size")):
        return _llama(config, EXTRAS[model_type])
    return sum(parameter.numel() for parameter in build_on_meta(config).parameters())


def _gpt2(config: Config) -> int:
    modules = linear_modules(config)
    width, num_layers, vocabulary = (
        int(config[key]) for key in ("n_embd", "n_layer", "vocab_size")
    )
    embeddings = (vocabulary + int(config["n_positions"])) * width
    head = 0 if config.get("tie_word_embeddings", True) else vocabulary * width
    norms = (2 * num_layers + 1) * 2 * width
    return _weights(modules) + _biases(modules, ()) + embeddings + head + norms


def _llama(config: Config, extras: _Extras) -> int:
    modules = linear_modules(config)
    width, num_layers = int(config["hidden_size"]), int(config["num_hidden_layers"])
    tied = config.get("tie_word_embeddings", extras.ties_head)
    embeddings = (1 if tied else 2) * int(config["vocab_size"]) * width
    norms = (extras.norms * num_layers + bool(extras.norms)) * width
    biased = _biased(config, extras)
    return (
        _weights(modules)
        + (_biases(modules, biased) if biased else 0)
        + embeddings
        + norms
        + _head_norms(modules, config, extras)
    )


def _biased(config: Config, extras: _Extras) -> tuple[str, ...]:
    model_type = config["model_type"]
    attention = config.get("attention_bias") and model_type not in WITHOUT_BIASES
    mlp = config.get("mlp_bias") and model_type in WITH_MLP_BIAS
    return extras.always_biased + (ATTENTION if attention else ()) + (MLP if mlp else ())


def _head_norms(modules: Iterable[LinearModule], config: Config, extras: _Extras) -> int:
    outputs = [m.out_features for m in modules if m.name.endswith(("q_proj", "k_proj"))]
    if extras.head_norms == "all":
        return sum(outputs)
    if extras.head_norms == "one":
        head_dim = outputs[0] // int(config["num_attention_heads"])
        return head_dim * len(outputs)
    return 0


def _weights(modules: Iterable[LinearModule]) -> int:
    return sum(module.in_features * module.out_features for module in modules)


def _biases(modules: Iterable[LinearModule], names: tuple[str, ...]) -> int:
    """Return the biases of the modules with these last names, or of all where none is named."""
    return sum(m.out_features for m in modules if not names or m.name.endswith(names))
