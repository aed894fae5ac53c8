"""Users' mistakes: one line, exit code 2, nothing half written."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from safetensors import SafetensorError

from calling import assert_refused, call, settings


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder that is not there yet."""
    return tmp_path / "out"


def test_as_a_program_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "lorasweep", "run", "no-such-study"],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: no study 'no-such-study': no such file")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("rank =", "rnk =", "unknown key 'grid.0.rnk'; did you mean 'rank'?"),
        ("[recipe]", "[recpe]", "unknown key 'recpe'; did you mean 'recipe'?"),
        ("num_train = 12", 'num_train = "12"', "data.num_train = '12': expected a whole"),
        ("lr = [", "lr = [nan, ", "grid.0.lr.0 = nan: expected a number above 0"),
        ("rank = [2, 4]", "rank = [2", "not valid TOML"),
    ],
)
def test_a_wrong_study_file_is_refused(
    file: Path, tmp_path: Path, out: Path, old: str, new: str, said: str
) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(file.read_text().replace(old, new))
    assert_refused(call("run", wrong, "--out", out), str(wrong), said)
    assert_refused(call("plan", wrong), str(wrong), said)
    assert not out.exists()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("grid.targets=q_proj", ["targets 'q_proj'", "attn.c_attn, attn.c_proj, mlp.c_fc"]),
        ('grid.targets=["attn", "c_atn"]', ["targets 'c_atn'", "did you mean 'c_attn'?"]),
        ("grid.alpha=3x", ["grid.0.alpha.0 = '3x': alpha is a number above 0"]),
        ("data.max_tokens=9999", ["data.max_tokens = 9999: ", "knows 512 positions"]),
        ("model.base=./nothing", ["no model 'nothing': no such folder or alias"]),
        ("model.base=smollm2-135", ["did you mean 'smollm2-135m'?"]),
        ("recipe", ["--set recipe: expected section.key=value"]),
    ],
)
def test_a_wrong_value_is_refused(file: Path, out: Path, override: str, said: list[str]) -> None:
    assert_refused(call("run", file, "--out", out, *settings(override)), *said)
    assert not out.exists()


def spoil_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def own_code(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "x.Y"}}))


def pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def cut_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "config.json").unlink(), "no config.json"),
        (spoil_config, "config.json is not valid JSON"),
        (own_code, "the model brings its own Python code"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no weights to load"),
        (pickle_only, "pytorch_model.bin is a pickle"),
    ],
    ids=["no config", "broken config", "own code", "no weights", "pickle"],
)
def test_a_wrong_model_folder_is_refused(
    file: Path, tmp_path: Path, out: Path, spoil: Callable[[Path], None], said: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(file.parent / "model", folder)
    spoil(folder)
    ended = call("run", file, "--out", out, *settings(f"model.base={folder}"))
    assert_refused(ended, str(folder), said)
    assert not out.exists()


def test_weights_that_do_not_load_are_refused(file: Path, tmp_path: Path, out: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(file.parent / "model", folder)
    cut_weights(folder)
    ended = call("run", file, "--out", out, "--quiet", *settings(f"model.base={folder}"))
    assert_refused(ended, f"{folder / 'model.safetensors'}: transformers cannot load this model")
    assert not out.exists()


def test_a_hub_name_without_a_network_is_refused(
    file: Path, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    ended = call("run", file, "--out", out, *settings("model.base=some/model"))
    assert_refused(ended, "some/model: not in the Hub's cache", "models pull smollm2-135m")
    assert not out.exists()


def squad(*questions: tuple[str, str, int]) -> str:
    """Return a SQuAD file of two articles: (id, answer, answer_start) each."""
    qas = [
        {"id": i, "question": "Who?", "answers": [{"text": text, "answer_start": start}]}
        for i, text, start in questions
    ]
    articles = [
        {"title": f"A{n}", "paragraphs": [{"context": "Here lives Bo.", "qas": [q]}]}
        for n, q in enumerate(qas)
    ]
    return json.dumps({"version": "1.1", "data": articles})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the file is empty"),
        ("[1, 2]", "questions.json: "),
        ('{"questions": []}', "'data' is missing (found: questions)"),
        ('{"data": [', "questions.json: "),
        (squad(("q1", "Bo", 11), ("q2", "Bo", 3)), "question 'q2': answer_start 3 does not match"),
        (squad(("q1", "Bo", 11), ("q1", "Bo", 11)), "question id 'q1' occurs twice"),
        (squad(("q1", "Bo", 11)), "one article, 'A0', which cannot be split"),
    ],
    ids=["empty", "a list", "other JSON", "broken", "wrong start", "repeated id", "one article"],
)
def test_wrong_questions_are_refused(
    file: Path, tmp_path: Path, out: Path, content: str, said: str
) -> None:
    questions = tmp_path / "questions.json"
    questions.write_text(content)
    ended = call("run", file, "--out", out, *settings(f"data.train={questions}"))
    assert_refused(ended, said)
    assert not out.exists()


def test_questions_that_are_not_there_name_the_nearest_file(
    file: Path, tmp_path: Path, out: Path
) -> None:
    (tmp_path / "questions.json").write_text("")
    ended = call("run", file, "--out", out, *settings(f"data.train={tmp_path / 'question.json'}"))
    assert_refused(ended, "did you mean 'questions.json'?")


def test_a_file_is_no_folder(file: Path) -> None:
    assert_refused(call("run", file, "--out", file, "--quiet"), "this is a file")
    assert_refused(call("report", file), "this is a file")


def test_a_folder_without_results_has_no_report(tmp_path: Path) -> None:
    assert_refused(call("report", tmp_path), f"no results in {tmp_path}: run `lorasweep run")
    assert_refused(call("report", tmp_path / "none"), "no results in ")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "quickstart", "--flag"], "No such option: --flag"),
        (["nothing"], "No such command 'nothing'"),
        (["run"], "Missing argument"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], said: str) -> None:
    ended = call(*arguments)
    assert ended.code == 2
    assert said in ended.err
    assert "Traceback" not in ended.err


def test_memory_that_is_too_small_for_the_base_model_is_said(
    file: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore")

    monkeypatch.setattr("lorasweep.running.worker.examine.decode_all", answer)
    ended = call("run", file, "--out", out)
    assert ended.code == 2
    last = ended.err.splitlines()[-1]
    assert last.startswith("error: not enough memory (CUDA out of memory. Tried to allocate 2 GiB)")
    assert "recipe.micro_batch" in last


def test_a_disk_that_is_full_when_an_adapter_is_written_loses_nothing(
    file: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(*_: object, **__: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    with monkeypatch.context() as patch:
        patch.setattr("lorasweep.model.peft_format.save_file", save)
        ended = call("run", file, "--out", out)
    assert ended.code == 2
    assert ended.err.splitlines()[-1].startswith(f"error: {out / 'runs'}")
    assert "No space left on device" in ended.err
    assert not list(out.rglob("*.part"))
    assert call("run", file, "--out", out).code == 0


def test_a_message_shows_what_would_act_in_a_terminal(file: Path, out: Path) -> None:
    ended = call("run", file, "--out", out, *settings("model.base=./\x1b]0;x\x07\u202em"))
    assert_refused(ended, r"no model '\x1b]0;x\x07\u202em'")


def test_names_are_no_markup(file: Path) -> None:
    mark = ["attn.c_attn"]
    sets = settings(f"targets.q[/]={mark}", f"targets.attn[out]={mark}", 'grid.targets=["q[/]"]')
    ended = call("plan", file, *sets)
    assert (ended.code, ended.err) == (0, "")
    assert "r2 lr1e-3 q[/]" in ended.out
    other = call("plan", file, *sets, *settings('grid.targets=["attn[out]"]'))
    assert "r2 lr1e-3 attn[out]" in other.out
