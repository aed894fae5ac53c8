import json
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
import transformers
from safetensors.torch import save_file

from calling import assert_refused, call
from lorasweep.errors import UserError
from lorasweep.hub import models

CONFIG = {"model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 1, "vocab_size": 16}


@pytest.fixture(autouse=True)
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty home and an empty Hub cache, and no network."""
    monkeypatch.setenv("LORASWEEP_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


def model_folder(
    folder: Path, config: dict[str, Any] = CONFIG, weights: str | None = models.WEIGHTS
) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text("{}")
    if weights:
        save_file({"w": torch.ones(2)}, folder / weights)
    return folder


def cached_model(tmp_path: Path, hub_id: str, **kwargs: Any) -> Path:
    """A model as the Hub's client keeps it in its cache."""
    repo = tmp_path / "hub" / f"models--{hub_id.replace('/', '--')}"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text("a" * 40)
    return model_folder(repo / "snapshots" / ("a" * 40), **kwargs)


def pulled_model() -> Path:
    folder = model_folder(models.folder_of(models.SMOLLM2))
    (folder / models.NOTE_FILE).write_text(json.dumps({"note": "rounded"}))
    (folder / models.CHECKSUMS).write_text(models.checksum_lines(folder.iterdir()))
    return folder


def test_home_is_in_the_cache_directory_unless_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert models.home() == tmp_path / "home"
    monkeypatch.delenv("LORASWEEP_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert models.home() == tmp_path / "xdg" / "lorasweep"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert models.home() == tmp_path / ".cache" / "lorasweep"


@pytest.mark.parametrize("base", models.SHIPPED_CONFIGS)
def test_shipped_configs_need_no_network(base: str) -> None:
    assert models.read_config(base)["model_type"] in ("gpt2", "llama")


def test_gpt2s_config_is_the_124m_shape() -> None:
    shipped = models.read_config("gpt2")
    default = transformers.GPT2Config().to_dict()
    assert {key: default[key] for key in shipped if key in default} | {
        "n_ctx": 1024,
        "architectures": ["GPT2LMHeadModel"],
    } == shipped


def test_a_folder_is_read_where_it_lies(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "mine")
    assert models.read_config(str(folder)) == CONFIG
    assert models.locate(str(folder)) == folder


def test_a_config_alone_can_be_planned_but_not_loaded(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "mine", weights=None)
    assert models.read_config(str(folder)) == CONFIG
    with pytest.raises(UserError, match=r"mine: no model\.safetensors nor"):
        models.locate(str(folder))


def test_a_folder_without_config_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no config\.json"):
        models.locate(str(tmp_path))


def test_pickled_weights_are_refused_with_the_reason(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "mine", weights=None)
    (folder / "pytorch_model.bin").touch()
    with pytest.raises(UserError, match="is a pickle, which can run code"):
        models.locate(str(folder))


def test_sharded_weights_must_all_be_there(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "mine", weights="model-00001-of-00002.safetensors")
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / models.WEIGHTS_INDEX).write_text(json.dumps({"weight_map": names}))
    with pytest.raises(UserError, match=r"model-00002-of-00002\.safetensors is missing"):
        models.locate(str(folder))
    save_file({"w": torch.ones(2)}, folder / names["b"])
    assert [file.name for file in models.weight_files(folder)] == sorted(names.values())


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"model_type": 3}', "\xff"])
def test_a_broken_config_is_a_clear_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=r"config\.json"):
        models.read_config(str(tmp_path))


def test_a_model_that_brings_its_own_code_is_refused(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "mine", config={**CONFIG, "auto_map": {"AutoConfig": "x.Y"}})
    for read in (models.read_config, models.locate):
        with pytest.raises(UserError, match=r"its own Python code \(auto_map"):
            read(str(folder))


def test_quantised_weights_are_refused_by_their_method(tmp_path: Path) -> None:
    config = {**CONFIG, "quantization_config": {"quant_method": "gptq", "bits": 4}}
    folder = model_folder(tmp_path / "mine", config=config)
    for read in (models.read_config, models.locate):
        with pytest.raises(UserError, match=r"its weights are quantised \(gptq in config\.json\)"):
            read(str(folder))


def test_an_adapter_beside_a_model_is_refused(tmp_path: Path) -> None:
    """transformers would load both together, and the base model be scored so."""
    folder = model_folder(tmp_path / "mine")
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match=r"beside the model lies an adapter"):
        models.locate(str(folder))


@pytest.mark.parametrize("base", ["smolm2-135m", "gtp2", "./gtp2"])
def test_a_wrong_name_gets_the_nearest_alias(base: str) -> None:
    for read in (models.read_config, models.locate):
        with pytest.raises(UserError, match=r"did you mean '(smollm2-135m|gpt2)'"):
            read(base)


@pytest.mark.parametrize("base", ["", "a/b/c", "~/nothing", "org/a..b", "with space"])
def test_no_name_ends_in_a_traceback(base: str) -> None:
    with pytest.raises(UserError):
        models.read_config(base)


def test_no_network_says_how_to_work_without(tmp_path: Path) -> None:
    for read, base in [(models.read_config, "org/model"), (models.locate, "gpt2")]:
        with pytest.raises(UserError) as error:
            read(base)
        assert "HF_HUB_OFFLINE=1" in str(error.value)
        assert "lorasweep models pull smollm2-135m" in str(error.value)


def test_the_hubs_cache_is_used_without_network(tmp_path: Path) -> None:
    folder = cached_model(tmp_path, "org/model")
    assert models.read_config("org/model") == CONFIG
    assert models.locate("org/model") == folder


def test_the_alias_gpt2_is_its_hub_id(tmp_path: Path) -> None:
    folder = cached_model(tmp_path, "openai-community/gpt2")
    assert models.locate("gpt2") == folder


def test_a_hub_model_of_which_only_the_config_is_cached_is_not_loaded(tmp_path: Path) -> None:
    cached_model(tmp_path, "org/model", weights=None)
    with pytest.raises(UserError):
        models.locate("org/model")


def test_a_hub_model_that_brings_its_own_code_is_refused_before_its_weights_are_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached_model(tmp_path, "org/model", config={**CONFIG, "auto_map": {}}, weights=None)
    monkeypatch.setattr(models, "_snapshot", lambda hub_id: pytest.fail("fetched"))
    with pytest.raises(UserError, match="auto_map"):
        models.locate("org/model")


def test_a_refusal_of_the_hub_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("403 Forbidden\n\nAsk for access")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    with pytest.raises(UserError, match="no model 'org/model': 403 Forbidden Ask for access"):
        models.read_config("org/model")


def test_smollm2_must_be_pulled_first() -> None:
    with pytest.raises(UserError, match="not pulled yet; run: lorasweep models pull smollm2-135m"):
        models.locate(models.SMOLLM2)


def test_a_pulled_model_is_located_and_noted() -> None:
    folder = pulled_model()
    assert models.locate(models.SMOLLM2) == folder
    assert models.note_of(folder) == "rounded"
    assert models.note_of(folder.parent) == ""


@pytest.mark.parametrize("damage", ["changed", "lost", "no sums", "empty sums"])
def test_a_damaged_model_is_not_loaded(damage: str) -> None:
    folder = pulled_model()
    if damage == "changed":
        (folder / "tokenizer.json").write_text("{ }")
    elif damage == "lost":
        (folder / models.WEIGHTS).unlink()
    elif damage == "no sums":
        (folder / models.CHECKSUMS).unlink()
    else:
        (folder / models.CHECKSUMS).write_text("")
    with pytest.raises(UserError, match="do not match their checksums; run: lorasweep"):
        models.locate(models.SMOLLM2)


def test_the_fingerprint_is_of_config_tokenizer_and_weights(tmp_path: Path) -> None:
    one, two = model_folder(tmp_path / "one"), model_folder(tmp_path / "two")
    (two / "README.md").write_text("other text")
    assert models.fingerprint_of(one) == models.fingerprint_of(two)
    seen = {models.fingerprint_of(one)}
    for name in ("config.json", "tokenizer.json", models.WEIGHTS):
        (two / name).write_bytes((two / name).read_bytes() + b" ")
        seen.add(models.fingerprint_of(two))
    assert len(seen) == 4


def test_the_list_tells_each_models_state(tmp_path: Path) -> None:
    assert [(m.name, m.state) for m in models.list_models()] == [
        ("smollm2-135m", "not pulled"),
        ("gpt2", "not pulled"),
    ]
    folder = pulled_model()
    cached = cached_model(tmp_path, "openai-community/gpt2")
    smollm2, gpt2 = models.list_models()
    assert (smollm2.state, smollm2.folder, smollm2.note) == ("pulled", folder, "rounded")
    assert (gpt2.name, gpt2.state) == ("openai-community/gpt2", "in the Hub cache")
    assert gpt2.folder == cached


def test_the_list_as_json_is_its_lines(tmp_path: Path) -> None:
    cached = cached_model(tmp_path, "org/model")
    cached_model(tmp_path, "org/planned", weights=None)
    assert json.loads(call("models", "list", "--json").out) == [
        {"name": "smollm2-135m", "state": "not pulled", "folder": None, "note": ""},
        {"name": "gpt2", "state": "not pulled", "folder": None,
         "note": "openai-community/gpt2 on the Hub"},
        {"name": "org/model", "state": "in the Hub cache", "folder": str(cached), "note": ""},
    ]  # fmt: skip


@pytest.mark.parametrize("variable", ["LORASWEEP_HOME", "XDG_CACHE_HOME"])
def test_a_home_of_nobody_is_one_message(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LORASWEEP_HOME")
    monkeypatch.setenv(variable, "~nosuchuser/x")
    for words in (("models", "list"), ("models", "pull", "smollm2-135m"), ("plan", "quickstart")):
        assert_refused(call(*words), f"{variable}: the home folder of '~nosuchuser' is not known")


def test_a_user_without_a_home_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LORASWEEP_HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def nobody(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", nobody)
    assert_refused(call("models", "list"), "LORASWEEP_HOME is not set, and HOME: ")


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ("~nosuchuser/m", "model.base: the home folder of '~nosuchuser' is not known here"),
        ("", "model.base is empty"),
    ],
)
def test_a_base_that_is_nowhere_is_one_message(base: str, said: str) -> None:
    assert_refused(call("plan", "quickstart", "--set", f'model.base="{base}"'), said)
