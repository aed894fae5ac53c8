"""What is exported answers as the run was scored, whatever the base model's own defaults are."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import tiny
from calling import assert_refused, call
from lorasweep import Results, Study, run
from lorasweep.finished.sharing.export import public_name
from lorasweep.folder.store import Store
from lorasweep.hub.models import WEIGHTS
from lorasweep.running.kept import KeptStudy

GRID = 'grid=[{method = "full", lr = 1e-3}, {rank = 2, alpha = "2r", lr = 0.05, targets = "attn"}]'
# As many models have them; 7 is no end that answers were trained to end with.
OTHER_WAYS = {"do_sample": True, "temperature": 3.0, "repetition_penalty": 4.0, "eos_token_id": 7}
# Greedy, but never the same token twice; the temperature means nothing here.
GREEDY_WAYS = {"do_sample": False, "temperature": 0.6, "no_repeat_ngram_size": 1}


@pytest.fixture(scope="module", params=[OTHER_WAYS, GREEDY_WAYS], ids=["other", "greedy"])
def study(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory,
    make_model: Callable[..., Any], tokenizer: Any,
) -> Path:  # fmt: skip
    """A finished study of a model whose own defaults for generate are other than ours."""
    folder = tmp_path_factory.mktemp("ways")
    model = make_model("gpt2", tie_word_embeddings=False)
    with torch.no_grad():  # random models hardly ever stop
        model.get_output_embeddings().weight[tokenizer.eos_token_id] *= 2.5
    file = tiny.write_study(folder, model, tokenizer)
    (folder / "model" / "generation_config.json").write_text(json.dumps(request.param))
    run(Study.load(file, (GRID, "evaluate.max_new_tokens=6", "pack.lanes=1")), folder / "out")
    return folder / "out"


@pytest.fixture(autouse=True)
def _unreported(no_report: None) -> None:
    """Exports need no report."""


def scored(out: Path, run_id: str) -> dict[str, str]:
    rows = Store(out).of_run(run_id).read_predictions("greedy")
    return {row.id: row.prediction for row in rows}


def prompts(out: Path) -> Iterator[tuple[str, str]]:
    from lorasweep.analysis.questions import questions_of

    kept, results = KeptStudy.of(out), Store(out).read_results()
    for paragraph in questions_of(kept.lock, results.data["eval"]):
        for question in paragraph.examples:
            head = kept.study.data.prompt.replace("{context}", paragraph.context)
            yield question.id, head.replace("{question}", question.prompt.strip())


def parted(out: Path, run_id: str, folder: Path) -> int:
    """Count the answers of generate, by a folder's own defaults, that are not those scored."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    wanted, num_other = scored(out, run_id), 0
    for question, prompt in prompts(out):
        if question not in wanted:
            continue
        inputs = tokenizer(prompt, return_tensors="pt")
        ids = model.generate(**inputs)[0, inputs["input_ids"].shape[1] :]
        text = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        num_other += text.split("\n")[0].strip() != wanted[question]
    assert len(set(wanted.values())) > 1
    return num_other


def test_a_fully_trained_model_answers_as_it_was_scored(study: Path, tmp_path: Path) -> None:
    full, _ = Store(study).read_results().runs
    made = Store(study).of_run(full.id).model_folder
    assert parted(study, full.id, made) <= 1, "near ties apart"
    # As folders of before have them.
    shutil.copytree(study, tmp_path / "old")
    old = Store(tmp_path / "old").of_run(full.id).model_folder / "generation_config.json"
    old.write_text(json.dumps({**OTHER_WAYS, "max_new_tokens": 6}))
    Store(tmp_path / "old").write_run(full.model_copy(update={"files": {}}))
    assert parted(study, full.id, old.parent) > 1
    ended = call("export", tmp_path / "old", "--run", full.id, "--out", tmp_path / "exported")
    assert ended.code == 0, ended.err
    assert parted(study, full.id, tmp_path / "exported") <= 1


def test_merged_weights_answer_as_the_run_was_scored(study: Path, tmp_path: Path) -> None:
    _, lora = Store(study).read_results().runs
    ended = call("export", study, "--run", lora.id, "--merged", "--out", tmp_path / "merged")
    assert ended.code == 0, ended.err
    assert parted(study, lora.id, tmp_path / "merged") <= 1
    card = (tmp_path / "merged" / "README.md").read_text()
    assert "generation_config.json has that end token" in card
    assert json.loads((tmp_path / "merged" / "config.json").read_text())["eos_token_id"] == 0


@pytest.mark.parametrize("words", [[], ["--merged"]])
def test_the_cards_own_lines_give_the_answer_that_was_scored(
    study: Path, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    _, lora = Store(study).read_results().runs
    folder = tmp_path / "exported"
    assert call("export", study, "--run", lora.id, "--out", folder, *words).code == 0
    code = (folder / "README.md").read_text().split("```python\n")[1].split("\n```")[0]
    base = str(KeptStudy.of(study).base[0])
    code = code.replace("'the folder of the base model'", repr(base))
    texts, wanted = dict(prompts(study)), scored(study, lora.id)
    question = max(wanted, key=lambda name: len(wanted[name]))
    monkeypatch.chdir(folder)
    # The question's own prompt in place of the card's example.
    before, after = code.split("inputs = ")
    exec(f"{before}prompt = {texts[question]!r}\ninputs = {after}", {})
    assert capsys.readouterr().out.strip() == wanted[question]


@pytest.fixture
def moved(copied_study: Path, tmp_path: Path) -> Callable[[Any], Path]:
    """Let a study's base folder, a copy, hold another model."""

    def move(model: Any) -> Path:
        store, base = Store(copied_study), tmp_path / "base"
        lock = store.read_lock()
        assert lock is not None
        shutil.copytree(lock.study["model"]["base"], base)
        for file in base.glob("*.safetensors"):
            file.unlink()
        model.save_pretrained(base)
        study = {**lock.study, "model": {**lock.study["model"], "base": str(base)}}
        store.write_lock(lock.model_copy(update={"study": study}))
        return copied_study

    return move


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_other_weights_than_the_studys_are_refused_by_every_command(
    architecture: str, moved: Callable[[Any], Path], make_model: Any, results: Results,
    tmp_path: Path,
) -> None:  # fmt: skip
    model = make_model(architecture)
    with torch.no_grad():
        next(model.parameters()).add_(1.0)
    out, run_id = moved(model), results.runs[0].id
    adapter = Store(out).of_run(run_id).adapter_folder
    commands: list[list[Any]] = [
        ["export", out, "--run", run_id, "--merged", "--out", tmp_path / "merged"],
        ["ask", out, "--context", "A b.", "--question", "q"],
        ["decode", out, "--decoder", "span", "--quiet"],
        ["import", adapter, "--study", out, "--quiet"],
    ]
    for words in commands:
        assert_refused(call(*words), "base: not the weights that the runs trained on")
    assert not (tmp_path / "merged").exists()
    assert call("export", out, "--run", run_id).code == 0, "the adapter alone needs no base model"


def test_a_link_among_a_runs_files_is_not_followed(
    study: Path, tmp_path: Path, results: Results
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "id").write_text("a key")
    out = Path(shutil.copytree(study, tmp_path / "out"))
    full, lora = Store(out).read_results().runs
    model = Store(out).of_run(full.id).model_folder
    for link, target in (("notes.txt", secret / "id"), ("more", secret)):
        (model / link).symlink_to(target)
        assert_refused(call("export", out, "--run", full.id), str(model / link), "a link")
        (model / link).unlink()
    (model / "notes.txt").write_text("of nobody's concern")
    exported = Path(call("export", out, "--run", full.id).out.strip())
    assert not (exported / "notes.txt").exists()
    assert (exported / WEIGHTS).is_file()
    adapter = Store(out).of_run(lora.id).adapter_folder
    adapter.rename(tmp_path / "elsewhere")
    adapter.symlink_to(tmp_path / "elsewhere")
    assert_refused(call("export", out, "--run", lora.id), str(adapter), "a link")


def test_a_folder_called_like_a_model_of_the_hub_is_no_such_model(tmp_path: Path) -> None:
    (tmp_path / "gpt2").mkdir()
    assert public_name(str(tmp_path / "gpt2")) == "./gpt2"
    assert public_name("gpt2") == "openai-community/gpt2"
