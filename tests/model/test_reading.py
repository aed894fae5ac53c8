"""Whatever a library raises while it reads a model folder is one message that names a file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from lorasweep.data.trees import Tree
from lorasweep.errors import UserError
from lorasweep.model.base import load_config, load_model, load_tokenizer
from lorasweep.model.reading import reading
from lorasweep.running.selfcheck import freeze_checked

MakeModel = Callable[..., PreTrainedModel]
CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path: Path, make_model: MakeModel, tokenizer: PreTrainedTokenizerFast) -> Path:
    make_model("llama").save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return tmp_path


def change(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def refusal(read: Callable[[], Any]) -> str:
    with pytest.raises(UserError) as error:
        read()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rms_norm_eps": "x"}, "'rms_norm_eps' expected float, got str (value: 'x')"),
        ({"layer_types": 3}, "'int' object is not iterable"),
        ({"id2label": "x"}, "transformers cannot load this config"),
        ({"hidden_act": "slu"}, "hidden_act = 'slu': transformers has no such; did you mean"),
    ],
)
def test_an_odd_config_is_named(folder: Path, changes: dict[str, Any], said: str) -> None:
    change(folder / "config.json", **changes)
    for read in (lambda: load_config(folder), lambda: load_model(folder, CPU)):
        told = refusal(read)
        assert told.startswith(f"{folder / 'config.json'}: ")
        assert said in told


@pytest.mark.parametrize(
    "changes",
    [
        {"_attn_implementation": "flash_attention_2"},
        {"_attn_implementation": "OWNER/KERNEL"},
        {"_attn_implementation": 3},
        {"attn_implementation": "nonsense"},
        {"return_dict": False},
        {"output_attentions": True},
        {"output_hidden_states": True, "use_cache": False},
    ],
)
def test_how_a_config_wants_its_forward_pass_called_changes_nothing(
    folder: Path,
    tokenizer: PreTrainedTokenizerFast,
    trees: tuple[Tree, ...],
    changes: dict[str, Any],
) -> None:
    change(folder / "config.json", **changes)
    assert freeze_checked(load_model(folder, CPU), tokenizer, trees[:2]).shares_trunks


def broken_merge(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["merges"].insert(0, ["qqq", "rrr"])
    (folder / "tokenizer.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("damage", "file", "said"),
    [
        (broken_merge, "tokenizer.json", "Token `qqq` out of vocabulary"),
        (lambda f: change(f / "tokenizer.json", model={}), "tokenizer.json", "data did not match"),
        (lambda f: (f / "tokenizer.json").write_text("[]"), "tokenizer.json", ""),
        (lambda f: (f / "tokenizer.json").write_text("{"), "tokenizer.json", ""),
        (lambda f: (f / "tokenizer_config.json").write_text("[]"), "tokenizer_config.json", ""),
        (
            lambda f: change(f / "tokenizer_config.json", tokenizer_class=3),
            "tokenizer_config.json",
            "'int' object has no attribute",
        ),
        (
            lambda f: change(f / "tokenizer_config.json", model_max_length="x"),
            "tokenizer_config.json",
            "",
        ),
    ],
)
def test_a_tokenizer_that_does_not_load_is_named_by_its_file(
    folder: Path, damage: Callable[[Path], None], file: str, said: str
) -> None:
    damage(folder)
    told = refusal(lambda: load_tokenizer(folder))
    assert told.startswith(f"{folder / file}: transformers cannot load this tokenizer: ")
    assert said in told


@pytest.mark.parametrize("content", [b"", b"\xff" * 20, b"\x02" + bytes(7) + b"{]"])
def test_weights_that_do_not_load_are_named_by_their_file(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    told = refusal(lambda: load_model(folder, CPU))
    assert told.startswith(f"{folder / 'model.safetensors'}: transformers cannot load this model")


def test_other_odd_files_are_named_too(folder: Path) -> None:
    (folder / "generation_config.json").write_text("[]")
    assert str(folder / "generation_config.json") in refusal(lambda: load_model(folder, CPU))


def test_weights_of_another_shape_are_named_with_both_shapes(folder: Path) -> None:
    change(folder / "config.json", vocab_size=700)
    assert (
        "lm_head.weight is [600, 32] in its safetensors files, and [700, 32] by its config.json"
    ) in refusal(lambda: load_model(folder, CPU))


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError()])
def test_too_little_memory_stays_what_it_is(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)), reading(tmp_path, "model"):
        raise error


@pytest.mark.parametrize("error", [KeyError("x"), AssertionError(), ValueError("  \n ")])
def test_an_error_without_words_has_its_type(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(UserError, match=type(error).__name__), reading(tmp_path, "model"):
        raise error
