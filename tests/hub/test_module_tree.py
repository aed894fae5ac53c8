"""Sets of modules are found by where a linear map stands, in the language model alone."""

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from test_architectures import LLAMA_FAMILY, SIZES

from lorasweep.errors import UserError
from lorasweep.hub.architectures import architecture, linear_modules, suffix_of
from lorasweep.hub.module_tree import LinearMap, module_tree
from lorasweep.study.grid import Configuration
from lorasweep.study.plan import make_plan
from lorasweep.study.study import Study

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
GATED = ["gate_proj", "up_proj", "down_proj"]
EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}


def under(parent: str, names: Sequence[str]) -> list[str]:
    return [f"{parent}.{name}" for name in names]


# The model type with what its config needs beside SIZES, and its modules of attention and of MLP.
LLAMA_LIKE = (under("self_attn", ATTENTION), under("mlp", GATED))
DECODERS: list[tuple[str, dict[str, Any], list[str], list[str]]] = [
    *((name, {}, *LLAMA_LIKE) for name in LLAMA_FAMILY),
    ("cohere", {}, *LLAMA_LIKE),
    ("stablelm", {}, *LLAMA_LIKE),
    ("phi3", {}, ["self_attn.qkv_proj", "self_attn.o_proj"],
     ["mlp.gate_up_proj", "mlp.down_proj"]),
    ("phi", {"num_key_value_heads": 6}, under("self_attn", ["q_proj", "k_proj", "v_proj", "dense"]),
     ["mlp.fc1", "mlp.fc2"]),
    ("falcon", {}, ["self_attention.query_key_value", "self_attention.dense"],
     ["mlp.dense_h_to_4h", "mlp.dense_4h_to_h"]),
    ("gpt_neox", {}, ["attention.query_key_value", "attention.dense"],
     ["mlp.dense_h_to_4h", "mlp.dense_4h_to_h"]),
    ("opt", {"ffn_dim": 96, "word_embed_proj_dim": 48},
     under("self_attn", ["q_proj", "k_proj", "v_proj", "out_proj"]), ["fc1", "fc2"]),
    ("starcoder2", {}, under("self_attn", ATTENTION), ["mlp.c_fc", "mlp.c_proj"]),
    ("bloom", {"n_head": 6, "n_layer": 2},
     ["self_attention.query_key_value", "self_attention.dense"],
     ["mlp.dense_h_to_4h", "mlp.dense_4h_to_h"]),
    ("qwen3_moe", {"mlp_only_layers": [0], "num_experts": 4}, *LLAMA_LIKE),
    ("mixtral", EXPERTS, under("self_attn", ATTENTION), []),
    ("gpt_oss", EXPERTS, under("self_attn", ATTENTION), []),
    ("llama4_text", {**EXPERTS, "intermediate_size_mlp": 96, "moe_layers": [1]},
     under("self_attn", ATTENTION), [*under("feed_forward", GATED),
     *under("feed_forward.shared_expert", GATED)]),
    ("jamba", {"num_experts": 2, "attn_layer_period": 2, "attn_layer_offset": 1,
     "expert_layer_period": 4, "expert_layer_offset": 3, "use_mamba_kernels": False},
     under("self_attn", ATTENTION), under("feed_forward", GATED)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("model_type", "more", "attention", "mlp"), DECODERS, ids=[name for name, *_ in DECODERS]
)
def test_sets_of_every_decoder(
    model_type: str, more: dict[str, Any], attention: list[str], mlp: list[str]
) -> None:
    tree = module_tree({"model_type": model_type, **SIZES, **more})
    assert kinds(tree.maps, "attention") == set(attention)
    assert kinds(tree.maps, "mlp") == set(mlp)


def kinds(maps: Sequence[LinearMap], place: str) -> set[str]:
    return {suffix_of(each.name) for each in maps if each.place == place}


@pytest.mark.parametrize("model_type", LLAMA_FAMILY)
def test_the_quick_path_has_the_trees_modules_and_sets(model_type: str) -> None:
    config = {"model_type": model_type, **SIZES}
    quick, tree = architecture(config), module_tree(config)
    assert [m.name for m in quick.modules] == [each.name for each in tree.maps]
    for name, place in (("attn", "attention"), ("mlp", "mlp")):
        ends = tuple(f".{wanted}" for wanted in quick.sets[name])
        assert [m.name for m in quick.modules if m.name.endswith(ends)] == [
            each.name for each in tree.maps if each.place == place
        ]


def test_sets_of_two_kinds_need_both() -> None:
    sets = {
        name: set(architecture({"model_type": name, **SIZES, **more}).sets)
        for name, more, *_ in DECODERS
        if name in ("cohere", "phi3", "mixtral")
    }
    assert sets == {
        "cohere": {"attn", "mlp", "attn_mlp", "qv"},
        "phi3": {"attn", "mlp", "attn_mlp"},
        "mixtral": {"attn", "qv"},
    }


def test_what_chooses_experts_is_no_mlp() -> None:
    tree = module_tree({"model_type": "phimoe", **SIZES, **EXPERTS})
    routers = [each for each in tree.maps if each.name.endswith(".router")]
    assert routers
    assert {each.place for each in routers} == {"elsewhere"}


def test_towers_for_pictures_are_never_adapted() -> None:
    vision = {
        "model_type": "siglip_vision_model", "hidden_size": 48, "intermediate_size": 96,
        "num_attention_heads": 6, "num_hidden_layers": 2, "image_size": 28, "patch_size": 14,
    }  # fmt: skip
    text = {"model_type": "gemma3_text", **SIZES}
    config = {"model_type": "gemma3", "text_config": text, "vision_config": vision}
    config |= {"mm_tokens_per_image": 4, "image_token_index": 60}
    names = [module.name for module in linear_modules(config)]
    alone = [module.name.removeprefix("model.") for module in linear_modules(text)]
    assert names == [f"model.language_model.{name}" for name in alone]
    assert architecture(config).sets["attn"] == under("self_attn", ATTENTION)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("transformer.h.3.ffn.0", "ffn.0"),
        ("model.layers.10.mlp.experts.2.w1", "w1"),
        ("blocks.1.lists.2.0", "lists.2.0"),
        ("lm_head", "lm_head"),
    ],
)
def test_a_suffix_is_what_all_layers_share(name: str, suffix: str) -> None:
    assert suffix_of(name) == suffix


def study(targets: str) -> Study:
    return Study.parse(
        {
            "name": "x", "model": {"base": "x"}, "data": {"train": "bundled"},
            "grid": [{"targets": targets, "rank": 4}],
        }
    )  # fmt: skip


def test_a_plan_says_how_many_weights_of_experts_are_not_adapted() -> None:
    config = {"model_type": "mixtral", **SIZES, **EXPERTS}
    plan = make_plan(study("attn"), config)
    weights = 2 * 4 * 3 * SIZES["hidden_size"] * SIZES["intermediate_size"]
    said = f"{weights:,} weights of this model's experts stand in fused parameters"
    assert any(said in warning for warning in plan.warnings)
    assert not any("experts" in warning for run in plan.runs for warning in run.warnings)
    with pytest.raises(UserError, match=r"no linear module .* is called mlp.*sets: attn") as error:
        make_plan(study("mlp"), config)
    assert said in str(error.value)


def test_a_name_that_fits_nothing_gets_the_modules_and_the_nearest() -> None:
    config = {"model_type": "gpt_neox", **SIZES}
    with pytest.raises(UserError) as error:
        make_plan(study("query_key_valu"), config)
    assert "its modules: attention.query_key_value, attention.dense, mlp." in str(error.value)
    assert "sets: attn, mlp, attn_mlp, all-linear" in str(error.value)
    assert "did you mean 'query_key_value'?" in str(error.value)


def test_runs_of_a_set_are_those_of_its_modules_by_name() -> None:
    config = {"model_type": "gpt_neox", **SIZES}
    by_set, by_place = (
        make_plan(study(name), config).runs[0] for name in ("all-linear", "attn_mlp")
    )
    assert by_set.work == by_place.work
    assert isinstance(by_set.configuration, Configuration)


def test_known_architectures_are_planned_without_torch() -> None:
    code = f"""
import sys
from lorasweep.hub.architectures import architecture
for name in {LLAMA_FAMILY!r}:
    architecture({{"model_type": name, **{SIZES!r}}})
print("torch" in sys.modules or "transformers" in sys.modules)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "False"
