"""Export: a folder that PEFT or transformers loads and that answers the same, with a card."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import huggingface_hub
import peft
import pytest
import torch
from huggingface_hub import metadata_load
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from calling import assert_refused, call
from lorasweep import Results
from lorasweep.answering.decode.prompts import Prompts
from lorasweep.answering.decode.strategies import decode_greedy
from lorasweep.data.encoding import TreeBuilder
from lorasweep.data.squad.sources import load
from lorasweep.data.trees import Tree, separate_rows
from lorasweep.finished.asking import Panel
from lorasweep.folder.store import Store
from lorasweep.model.base import Base, freeze
from lorasweep.model.peft_format import CONFIG, WEIGHTS, answering_lane, load_adapter
from reference import agrees, generate

NUM_NEW = 6
few_or_fifty = pytest.mark.parametrize(
    "num_questions", [8, pytest.param(50, marks=pytest.mark.slow)]
)


def plain_model(out: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(Panel(out).folder, dtype=torch.float32).eval()


def bundled_questions(base: Base) -> Sequence[Tree]:
    builder = TreeBuilder(base.tokenizer, "{context}\n\n{question}", 512, NUM_NEW)
    trees = builder.build(load(["bundled"]).groups, "skip").trees
    return separate_rows(trees)


def near_ties(base: Base, adapter: Path, theirs: Any, num_questions: int) -> int:
    """Hold our greedy answers with an adapter against generate's; count partings at near ties."""
    saved, rows = load_adapter(adapter), bundled_questions(base)[:num_questions]
    with base.adapted([answering_lane(saved)]) as adapters:
        adapters.put(0, saved.weights)
        answers = {
            answer.question_id: answer
            for (lane,) in decode_greedy(Prompts(base, rows, 1, 4096), NUM_NEW)
            for answer in lane
        }
    assert len(answers) == num_questions
    found = [
        agrees(answers[row.branches[0].question_id], generate(base, theirs, row, NUM_NEW))
        for row in rows
    ]
    return found.count(False)


@few_or_fifty
@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_peft_answers_as_we_do(
    architecture: str, num_questions: int, finished_study: Callable[[str], Path], tmp_path: Path
) -> None:
    out = finished_study(architecture)
    base = freeze(plain_model(out), Panel(out).base.tokenizer)
    for run in Store(out).read_results().runs:
        folder = tmp_path / run.id
        assert call("export", out, "--run", run.label, "--out", folder).out == f"{folder}\n"
        tuned = peft.PeftModel.from_pretrained(plain_model(out), folder).eval()
        assert near_ties(base, folder, tuned, num_questions) <= 1


@few_or_fifty
def test_merged_weights_answer_as_base_and_adapter(
    num_questions: int, gpt2_study: Path, results: Results, tmp_path: Path
) -> None:
    base = freeze(plain_model(gpt2_study), Panel(gpt2_study).base.tokenizer)
    for run in results.runs:
        folder = tmp_path / run.id
        call("export", gpt2_study, "--run", run.id, "--merged", "--out", folder)
        merged = AutoModelForCausalLM.from_pretrained(folder).eval()
        assert merged.dtype == torch.float32
        assert len(AutoTokenizer.from_pretrained(folder)) == len(base.tokenizer)
        adapter = Store(gpt2_study).of_run(run.id).adapter_folder
        assert near_ties(base, adapter, merged, num_questions) <= 1
        assert not (folder / WEIGHTS).exists()


def test_merged_weights_that_drift_are_refused_and_leave_nothing(
    copied_study: Path, results: Results, tmp_path: Path
) -> None:
    run = results.runs[0].id
    file = Store(copied_study).of_run(run).adapter_folder / WEIGHTS
    tensors = load_file(file)
    # So large that what the base model holds is lost in rounding.
    save_file({name: 1e6 * tensor for name, tensor in tensors.items()}, file)
    Store(copied_study).write_run(results.runs[0].model_copy(update={"files": {}}))
    ended = call("export", copied_study, "--run", run, "--merged", "--out", tmp_path / "merged")
    assert_refused(ended, "the merged weights' logits differ by ", "allowed 0.001")
    assert not (tmp_path / "merged").exists()


def test_the_best_run_is_exported_with_a_word(copied_study: Path, results: Results) -> None:
    ended = call("export", copied_study)
    assert ended.out == f"{copied_study / 'exports' / (results.chosen or '')}\n"
    assert ended.err == f"the best run: {results.names[results.chosen or '']}\n"


def test_an_export_stands_on_its_own(copied_study: Path, results: Results) -> None:
    """It has a card, the base's precision and quantisation, and no path of this machine."""
    run = results.runs[0]
    folder = Path(call("export", copied_study, "--run", run.id).out.strip())
    assert folder == copied_study / "exports" / run.id
    assert {f.name for f in folder.iterdir()} == {CONFIG, WEIGHTS, "README.md", "lorasweep.json"}
    noted = json.loads((folder / "lorasweep.json").read_text())
    # Not "model": a folder called gpt2, say, would be taken for the Hub's model.
    assert noted == {"base": "./model", "precision": "fp32", "quantisation": "none that is known"}
    assert json.loads((folder / CONFIG).read_text())["base_model_name_or_path"] == "./model"
    for file in folder.iterdir():
        assert str(Path(results.base.name).parent).encode() not in file.read_bytes()
    assert call("export", copied_study, "--run", run.id).code == 0, "an export may be made anew"


def test_the_adapters_config_names_modules_by_the_ends_of_their_names(
    copied_study: Path, results: Results
) -> None:
    attention, parts = results.runs
    for run, ends in ((attention, ["attn.c_attn", "attn.c_proj"]), (parts, ["c_attn"])):
        folder = Path(call("export", copied_study, "--run", run.id).out.strip())
        assert json.loads((folder / CONFIG).read_text())["target_modules"] == ends


def test_the_card_says_what_the_record_says(copied_study: Path, results: Results) -> None:
    run = results.runs[0]
    card = Path(call("export", copied_study, "--run", run.id).out.strip()) / "README.md"
    scores, text = run.metrics["greedy"], card.read_text()
    assert not isinstance(scores, float)
    assert scores.rank.interval is not None
    low, high = scores.rank.interval
    assert (
        f"| this run | greedy | {scores.scores['exact_match'].mean:.1f} | {scores.rank.mean:.1f} "
        f"| {low:.1f} to {high:.1f} | {run.metrics['eval_loss']:.3f} |"
    ) in text
    assert "| base model | greedy |" in text
    assert f"Trained on {run.num_train_questions} questions" in text
    assert "not known: see the base model's own page" in text
    front = metadata_load(card)
    assert front is not None
    assert (front["library_name"], front["license"]) == ("peft", "unknown")
    found = {m["name"]: m["value"] for m in front["model-index"][0]["results"][0]["metrics"]}
    assert found["f1 (greedy)"] == pytest.approx(scores.rank.mean, abs=0.01)


def test_the_licence_comes_from_the_base_models_own_card(
    copied_study: Path, results: Results
) -> None:
    card = Path(results.base.name) / "README.md"
    card.write_text("---\nlicense: cc-by-4.0\n---\n")
    try:
        folder = Path(call("export", copied_study, "--run", results.runs[1].id).out.strip())
    finally:
        card.unlink()
    assert "| licence of the base model | cc-by-4.0 |" in (folder / "README.md").read_text()


class FakeHub:
    """Takes what is pushed; nothing leaves this machine."""

    pushed: dict[str, list[str]]

    def create_repo(self, repo_id: str, repo_type: str, exist_ok: bool) -> str:
        if repo_id.startswith("nobody/"):
            raise PermissionError("401 Client Error: log in first")
        assert (repo_type, exist_ok) == ("model", True)
        return f"hub/{repo_id}"

    def upload_folder(self, repo_id: str, folder_path: Path, commit_message: str) -> None:
        assert commit_message
        type(self).pushed[repo_id] = sorted(f.name for f in folder_path.iterdir())


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> type[FakeHub]:
    FakeHub.pushed = {}
    monkeypatch.setattr(huggingface_hub, "HfApi", FakeHub)
    return FakeHub


def test_push_uploads_the_folder(copied_study: Path, results: Results, hub: type[FakeHub]) -> None:
    run = results.runs[0].id
    ended = call("export", copied_study, "--run", run, "--push", "me/tuned")
    assert ended.out == f"{copied_study / 'exports' / run}\nhub/me/tuned\n"
    assert hub.pushed == {"me/tuned": ["README.md", CONFIG, WEIGHTS, "lorasweep.json"]}


def test_a_refused_push_keeps_the_folder(
    copied_study: Path, results: Results, hub: type[FakeHub]
) -> None:
    run = results.runs[0].id
    ended = call("export", copied_study, "--run", run, "--push", "nobody/tuned")
    assert ended.code == 2
    assert "not pushed to 'nobody/tuned': 401 Client Error: log in first" in ended.err
    assert (copied_study / "exports" / run / WEIGHTS).is_file()
    assert hub.pushed == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--run", "r4 lr5e-2 atn"], "no run 'r4 lr5e-2 atn' in tiny; did you mean"),
        (["--run", "base"], "'base' is the base model"),
        (["--run", "../../base"], "no run '../../base' in tiny"),
        (["--run", "r4 lr5e-2 attn", "--push", "tuned"], "a repository is called OWNER/NAME"),
        (["--run", "r4 lr5e-2 attn", "--out", "{out}"], "not empty; choose another folder"),
    ],
)
def test_mistakes_are_refused(copied_study: Path, words: list[str], said: str) -> None:
    before = sorted(copied_study.rglob("*"))
    ended = call("export", copied_study, *(w.format(out=copied_study) for w in words))
    assert_refused(ended, said)
    assert sorted(copied_study.rglob("*")) == before
