"""Fact 3 on disk: PEFT loads what we save, and we load what PEFT saves."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from lorasweep.data.trees import Tree
from lorasweep.errors import UserError
from lorasweep.hub.architectures import whole_of
from lorasweep.hub.models import NOTE_FILE
from lorasweep.model import peft_config as reading
from lorasweep.model.base import Base, freeze
from lorasweep.model.lora import Lane
from lorasweep.model.peft_config import by_module, short_targets
from lorasweep.model.peft_format import CONFIG, WEIGHTS, SavedAdapter, load_adapter, save_adapter
from lorasweep.running.selfcheck import training_logits
from lorasweep.study.plan import resolve_scale
from reference import Weights, mixed_lanes, modules_of, own_logits, randomise_B, relative

MakeModel = Callable[..., PreTrainedModel]


def saved(base: Base, lane: Lane, weights: Weights) -> SavedAdapter:
    copies = {name: (A.clone(), B.clone()) for name, (A, B) in weights.items()}
    transposed = base.linears[whole_of(lane.modules[0])].stored_transposed
    return SavedAdapter(copies, lane.rank, lane.scale, lane.dropout, "tiny", transposed)


def logits_with(base: Base, lane: Lane, adapter: SavedAdapter, trees: tuple[Tree, ...]) -> Tensor:
    """Our logits with an adapter that was read."""
    with base.adapted([lane]) as adapters:
        adapters.put(0, adapter.weights)
        return training_logits(base, trees)


@torch.no_grad()
def test_peft_gives_our_logits_from_our_files(
    architecture: str,
    make_model: MakeModel,
    make_base: Callable[[torch.dtype], Base],
    trees: tuple[Tree, ...],
    tmp_path: Path,
) -> None:
    base = make_base(torch.float32)
    model_folder = tmp_path / "model"
    make_model(architecture).save_pretrained(model_folder)
    for k, lane in enumerate(mixed_lanes(base)):
        with base.adapted([lane]) as adapters:
            randomise_B(adapters)
            ours = training_logits(base, trees)
            save_adapter(tmp_path / str(k), saved(base, lane, adapters.weights_of(0)))
        plain = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
        untuned = own_logits(plain, trees)
        tuned = peft.PeftModel.from_pretrained(plain, tmp_path / str(k)).eval()
        theirs = own_logits(tuned, trees)
        assert (ours - theirs).abs().max() < 1e-4
        assert (untuned - theirs).abs().max() > 0.1
        assert tuned.peft_config["default"].lora_dropout == lane.dropout


@torch.no_grad()
def test_parts_of_a_fused_module_are_one_adapter_for_peft_and_come_back_as_one(
    make_model: MakeModel, tokenizer: Any, trees: tuple[Tree, ...], tmp_path: Path
) -> None:
    base = freeze(make_model("gpt2"), tokenizer)
    fused, rank = modules_of(base, ("c_attn",)), 3
    names = (f"{fused[0]}:q", f"{fused[0]}:v", f"{fused[1]}:k", *modules_of(base, ("mlp",)))
    lane = Lane(names, rank, 1.7, 1e-3, 0.0, seed=0)
    with base.adapted([lane]) as adapters:
        randomise_B(adapters, std=0.3)
        ours = training_logits(base, trees)
        save_adapter(tmp_path, saved(base, lane, adapters.weights_of(0)))
    config = json.loads((tmp_path / CONFIG).read_text())
    assert config["rank_pattern"] == config["alpha_pattern"] == {fused[0]: 6, fused[1]: 3}
    assert (config["use_rslora"], config["fan_in_fan_out"]) == (False, True)
    B = load_file(tmp_path / WEIGHTS)[f"base_model.model.{fused[0]}.lora_B.weight"]
    assert B.shape == (96, 6)
    assert B[:32, :3].all()
    assert B[64:, 3:].all()
    assert int((B != 0).sum()) == 2 * 32 * 3

    tuned = peft.PeftModel.from_pretrained(make_model("gpt2"), tmp_path).eval()
    assert (ours - own_logits(tuned, trees)).abs().max() < 1e-5
    back = load_adapter(tmp_path)
    whole = Lane(tuple(back.weights), 6, back.scale, 0.0, 0.0, seed=0)
    assert (ours - logits_with(base, whole, back, trees)).abs().max() < 1e-5


@torch.no_grad()
def test_we_give_the_logits_of_peft_with_patterns(
    make_model: MakeModel, tokenizer: Any, trees: tuple[Tree, ...], tmp_path: Path
) -> None:
    base = freeze(make_model("gpt2"), tokenizer)
    patterns = {"rank_pattern": {"c_attn": 2}, "alpha_pattern": {r"h\.1\.attn\.c_proj": 5}}
    tuned = random_peft(make_model("gpt2"), peft_config(base, **patterns), std=0.3)
    tuned.save_pretrained(tmp_path)
    back = load_adapter(tmp_path)
    lane = Lane(tuple(back.weights), 4, back.scale, 0.0, 0.0, seed=0)
    difference = logits_with(base, lane, back, trees) - own_logits(tuned, trees)
    assert difference.abs().max() < 1e-4


@torch.no_grad()
def test_peft_gives_our_logits_of_a_rank_stabilised_run(
    make_model: MakeModel, tokenizer: Any, trees: tuple[Tree, ...], tmp_path: Path
) -> None:
    base = freeze(make_model("gpt2"), tokenizer)
    scale = resolve_scale(8.0, 6, "rslora")
    lane = Lane(modules_of(base, ("attn",)), 6, scale, 1e-3, 0.0, seed=0)
    with base.adapted([lane]) as adapters:
        randomise_B(adapters)
        ours = training_logits(base, trees)
        save_adapter(tmp_path, saved(base, lane, adapters.weights_of(0)))
    tuned = peft.PeftModel.from_pretrained(make_model("gpt2"), tmp_path).eval()
    assert (ours - own_logits(tuned, trees)).abs().max() < 1e-4
    layer = tuned.get_submodule(f"base_model.model.{lane.modules[0]}")
    assert layer.scaling["default"] == pytest.approx(8 / 6**0.5, rel=1e-12)


@torch.no_grad()
def test_we_give_pefts_logits_from_pefts_files(
    architecture: str,
    make_model: MakeModel,
    make_base: Callable[[torch.dtype], Base],
    trees: tuple[Tree, ...],
    tmp_path: Path,
) -> None:
    base = make_base(torch.float32)
    for use_rslora in (False, True):
        config = peft_config(base, use_rslora=use_rslora, lora_alpha=12)
        tuned = random_peft(make_model(architecture), config, std=0.1)
        theirs = own_logits(tuned, trees)
        tuned.save_pretrained(tmp_path)
        adapter = load_adapter(tmp_path)
        assert adapter.scale == pytest.approx(12 / (4**0.5 if use_rslora else 4))
        lane = Lane(tuple(adapter.weights), adapter.rank, adapter.scale, 1e-3, 0.0, seed=0)
        ours = logits_with(base, lane, adapter, trees)
        assert (ours - theirs).abs().max() < 1e-4


def random_peft(model: PreTrainedModel, config: LoraConfig, std: float) -> peft.PeftModel:
    """PEFT's LoRA whose B are not zero."""
    tuned = get_peft_model(model, config).eval()
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            parameter.normal_(std=std)
    assert isinstance(tuned, peft.PeftModel)
    return tuned


def peft_config(base: Base, **changes: Any) -> LoraConfig:
    defaults: dict[str, Any] = {
        "task_type": "CAUSAL_LM",
        "r": 4,
        "target_modules": list(modules_of(base, ("attn",))),
        "fan_in_fan_out": base.model.config.model_type == "gpt2",
        "lora_dropout": 0.1,
    }
    return LoraConfig(**{**defaults, **changes})


@pytest.fixture
def adapter(exact_base: Base) -> SavedAdapter:
    lane = mixed_lanes(exact_base, (0.1, 0.1, 0.1))[2]
    with exact_base.adapted([lane]) as adapters:
        randomise_B(adapters)
        return saved(exact_base, lane, adapters.weights_of(0))


def test_what_is_saved_is_what_is_loaded(adapter: SavedAdapter, tmp_path: Path) -> None:
    save_adapter(tmp_path, adapter)
    loaded = load_adapter(tmp_path)
    assert loaded.weights.keys() == adapter.weights.keys()
    for name, (A, B) in adapter.weights.items():
        assert loaded.weights[name][0].equal(A.float())
        assert loaded.weights[name][1].equal(B.float())
    assert (loaded.rank, loaded.dropout, loaded.base) == (adapter.rank, 0.1, "tiny")
    assert loaded.scale == pytest.approx(adapter.scale)
    assert loaded.stored_transposed == adapter.stored_transposed


def test_only_safetensors_are_written_and_read(adapter: SavedAdapter, tmp_path: Path) -> None:
    save_adapter(tmp_path, adapter)
    assert {file.name for file in tmp_path.iterdir()} == {CONFIG, WEIGHTS}
    tensors = load_file(tmp_path / WEIGHTS)
    (tmp_path / WEIGHTS).unlink()
    # A pickle could run anything: it is not even looked at.
    torch.save(tensors, tmp_path / "adapter_model.bin")
    with pytest.raises(UserError, match=f"no adapter here: {WEIGHTS} is missing; .* is a pickle"):
        load_adapter(tmp_path)


@pytest.mark.parametrize(
    "kind",
    [
        {"use_dora": True},
        {"modules_to_save": ["ln_f", "norm"]},
        {"trainable_token_indices": [1, 2]},
        {"alora_invocation_tokens": [1, 2]},
    ],
)
def test_other_kinds_that_peft_saves_are_refused(
    exact_base: Base, make_model: MakeModel, tmp_path: Path, kind: dict[str, Any]
) -> None:
    model = make_model(exact_base.model.config.model_type)
    get_peft_model(model, peft_config(exact_base, **kind)).save_pretrained(tmp_path)
    (setting,) = kind
    with pytest.raises(UserError, match=f"only plain LoRA is read; this one sets {setting}"):
        load_adapter(tmp_path)


def change_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, **changes}))


def change_weights(folder: Path, change: Callable[[dict[str, Tensor]], None]) -> None:
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)


def change_all(folder: Path, change: Callable[[Tensor], Tensor]) -> None:
    changed = {key: change(tensor) for key, tensor in load_file(folder / WEIGHTS).items()}
    save_file(changed, folder / WEIGHTS)


def pipe(file: Path) -> None:
    file.unlink(missing_ok=True)
    os.mkfifo(file)


def folder_for(file: Path) -> None:
    file.unlink()
    file.mkdir()


BREAKAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "rank 0": (lambda f: change_config(f, r=0), "r = 0, wanted a whole number from 1"),
    "a rank too high": (lambda f: change_config(f, r=10**30), r"r = 1000\d+, wanted"),
    "another rank": (lambda f: change_config(f, r=5), "has rank 3, but .* says 5"),
    "alpha NaN": (lambda f: change_config(f, lora_alpha=math.nan), "lora_alpha = nan, wanted"),
    "alpha too high": (lambda f: change_config(f, lora_alpha=1e300), r"lora_alpha = 1e\+300, "),
    "dropout in words": (lambda f: change_config(f, lora_dropout="x"), "lora_dropout = 'x', "),
    "a list of patterns": (
        lambda f: change_config(f, alpha_pattern=["c_attn"]),
        "alpha_pattern = .*, wanted an object",
    ),
    "a word for a number": (
        lambda f: change_config(f, alpha_pattern={"c_attn": "x"}),
        "alpha_pattern = .*, wanted an object",
    ),
    "no regular expression": (
        lambda f: change_config(f, alpha_pattern={"c_attn[": 3}),
        r"alpha_pattern: 'c_attn\[' is no regular expression",
    ),
    "a rank of no regular expression": (
        lambda f: change_config(f, rank_pattern={"(" * 400: 3}),
        "rank_pattern: .* is no regular expression",
    ),
    "a base that is no name": (
        lambda f: change_config(f, base_model_name_or_path=["x"]),
        "base_model_name_or_path = ",
    ),
    "no tensors": (lambda f: save_file({}, f / WEIGHTS), "holds no tensors"),
    "empty tensors": (lambda f: change_all(f, lambda t: t[:0]), r"has shape \[0, "),
    "tensors in no shape": (
        lambda f: change_all(f, lambda t: torch.zeros(0)),
        r"has shape \[0\], and a matrix is wanted",
    ),
    "flat tensors": (lambda f: change_all(f, Tensor.flatten), "and a matrix is wanted"),
    "whole numbers": (lambda f: change_all(f, Tensor.long), "holds torch.int64"),
    "no finite numbers": (lambda f: change_all(f, lambda t: t / 0), "not finite"),
    "no rank in common": (
        lambda f: change_all(f, lambda t: t[:2]),
        "have no rank in common",
    ),
    "a long name": (
        lambda f: change_weights(f, lambda t: t.update({"k" * 5000: torch.ones(1)})),
        r"k+\.\.\. \(5002 characters\) is no part of a plain LoRA adapter",
    ),
    "a pipe for a config": (lambda f: pipe(f / CONFIG), f"{CONFIG}: not a file"),
    "a pipe for weights": (lambda f: pipe(f / WEIGHTS), f"{WEIGHTS}: not a file"),
    "a pipe for a note": (lambda f: pipe(f / NOTE_FILE), f"{NOTE_FILE}: says nothing"),
    "a folder for weights": (lambda f: folder_for(f / WEIGHTS), f"{WEIGHTS}: not a file"),
    "nested without end": (
        lambda f: (f / CONFIG).write_text('{"r": ' + "[" * 10**5),
        "not a PEFT config: nested too deeply",
    ),
    "biases": (lambda f: change_config(f, bias="lora_only"), "this one sets bias"),
    "biases of B": (lambda f: change_config(f, lora_bias=True), "this one sets lora_bias"),
    "not lora": (lambda f: change_config(f, peft_type="IA3"), "this one sets peft_type to 'IA3'"),
    "pissa": (lambda f: change_config(f, init_lora_weights="pissa"), "init_lora_weights"),
    "no config": (lambda f: (f / CONFIG).unlink(), f"{CONFIG} is missing"),
    "a list": (lambda f: (f / CONFIG).write_text("[1]"), f"{CONFIG}: not a PEFT config"),
    "no JSON": (lambda f: (f / CONFIG).write_text("{"), f"{CONFIG}: not a PEFT config"),
    "no rank": (lambda f: change_config(f, r=None), f"{CONFIG}: not a PEFT config"),
    "no safetensors": (lambda f: (f / WEIGHTS).write_bytes(b"PK"), f"{WEIGHTS}: not safetensors"),
    "half a pair": (
        lambda f: change_weights(f, lambda t: t.pop(next(k for k in t if "lora_B" in k))),
        "has no lora_B",
    ),
    "another tensor": (
        lambda f: change_weights(f, lambda t: t.update({"base_model.model.x": torch.ones(1)})),
        "'base_model.model.x' is no part of a plain LoRA adapter",
    ),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_files_that_are_no_plain_adapter_are_refused(
    adapter: SavedAdapter, tmp_path: Path, breakage: str
) -> None:
    save_adapter(tmp_path, adapter)
    damage, message = BREAKAGES[breakage]
    damage(tmp_path)
    with pytest.raises(UserError, match=message) as raised:
        load_adapter(tmp_path)
    assert str(tmp_path) in str(raised.value)


def test_patterns_are_matched_as_peft_matches_them() -> None:
    from peft.utils.other import get_pattern_key

    patterns = {
        r"h\.1\.attn\.c_proj": 1,
        "c_proj": 2,
        r"(h|x)\.[0-9]+.*c_fc": 3,
        "^wte": 4,
        r".*(?<!mlp)\.c_attn": 5,
        "0.attn": 6,
    }
    kinds = ("attn.c_attn", "attn.c_proj", "mlp.c_proj", "mlp.c_fc", "attn")
    modules = [f"transformer.h.{i}.{kind}" for i in (0, 1, 11) for kind in kinds]
    theirs = {m: patterns.get(get_pattern_key(list(patterns), m), 7) for m in modules}
    assert by_module(patterns, modules, 7, "") == theirs
    assert set(theirs.values()) == {1, 2, 3, 5, 6, 7}


def test_a_regular_expression_that_takes_for_ever_is_refused(
    adapter: SavedAdapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_adapter(tmp_path, adapter)
    change_config(tmp_path, alpha_pattern={"(?:.|..|...)*[!-]": 3})
    monkeypatch.setattr(reading, "SECONDS_TO_MATCH", 0.01)
    with pytest.raises(UserError, match="alpha_pattern: its regular expressions take too long"):
        load_adapter(tmp_path)


def test_a_config_with_a_mark_of_its_byte_order_is_read(
    adapter: SavedAdapter, tmp_path: Path
) -> None:
    save_adapter(tmp_path, adapter)
    text = (tmp_path / CONFIG).read_text()
    (tmp_path / CONFIG).write_text(text, "utf-8-sig")
    assert load_adapter(tmp_path).scale == pytest.approx(adapter.scale)


SHORT = {
    ("attn.c_attn", "attn.c_proj"): ("attn.c_attn", "attn.c_proj"),
    ("attn.c_attn", "mlp.c_fc"): ("c_attn", "c_fc"),
    ("attn.c_attn", "attn.c_proj", "mlp.c_proj"): ("c_attn", "c_proj"),
}


@pytest.mark.parametrize("kinds", SHORT)
def test_short_targets_mean_the_same_modules_for_peft(
    kinds: tuple[str, ...], make_model: MakeModel
) -> None:
    model = make_model("gpt2")
    names = [name for name, _ in model.named_modules()]
    wanted = {f"transformer.h.{i}.{kind}" for i in range(2) for kind in kinds}
    short = short_targets(wanted, names)
    assert short == SHORT[kinds]
    config = LoraConfig(r=2, target_modules=list(short), fan_in_fan_out=True)
    found = get_peft_model(model, config).targeted_module_names
    assert set(found) == wanted
    one = {"transformer.h.1.attn.c_attn"}
    assert short_targets(one, names) == ("1.attn.c_attn",), "but never its neighbours"


def test_a_saved_module_name_means_that_module_alone(
    architecture: str, make_model: MakeModel, exact_base: Base, tmp_path: Path
) -> None:
    name = exact_base.linears.keys() - set(modules_of(exact_base, ("mlp",)))
    module = min(name)
    lane = Lane((module,), 2, 1.0, 1e-3, 0.0, seed=0)
    with exact_base.adapted([lane]) as adapters:
        randomise_B(adapters)
        save_adapter(tmp_path, saved(exact_base, lane, adapters.weights_of(0)))
        A, _ = adapters.weights_of(0)[module]
        expected = A.clone()
    tuned = peft.PeftModel.from_pretrained(make_model(architecture), tmp_path)
    adapted = [n for n, _ in tuned.named_parameters() if "lora_A" in n]
    assert adapted == [f"base_model.model.{module}.lora_A.default.weight"]
    assert relative(tuned.get_parameter(adapted[0]), expected.float()) < 1e-7
