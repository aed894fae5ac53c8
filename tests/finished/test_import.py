"""Import: a PEFT adapter trained elsewhere is scored beside a study's own runs."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from calling import Ended, assert_refused, call
from lorasweep import Results
from lorasweep.errors import UserError
from lorasweep.finished.asking import Panel
from lorasweep.finished.sharing.importing import import_adapter
from lorasweep.folder.store import Store
from lorasweep.model.peft_format import CONFIG, WEIGHTS
from lorasweep.running import driver
from lorasweep.running.kept import MODEL_FACT
from lorasweep.running.worker.examine import Examiner

MakeModel = Callable[..., Any]


def foreign_adapter(folder: Path, model: Any, **changes: Any) -> Path:
    """An adapter that PEFT made, with answers of its own."""
    torch.manual_seed(1)
    settings: dict[str, Any] = {"task_type": "CAUSAL_LM", "r": 3, "target_modules": ["c_attn"],
                                "fan_in_fan_out": True}  # fmt: skip
    tuned = get_peft_model(model, LoraConfig(**{**settings, **changes}))
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
    tuned.save_pretrained(folder)
    return folder


@pytest.fixture
def adapter(make_model: MakeModel, tmp_path: Path) -> Path:
    return foreign_adapter(tmp_path / "theirs", make_model("gpt2"))


def imported(adapter: Path, out: Path, *words: str) -> Ended:
    return call("import", adapter, "--study", out, "--json", *words)


def test_an_imported_adapter_stands_beside_the_runs(
    adapter: Path, copied_study: Path, results: Results
) -> None:
    ended = imported(adapter, copied_study)
    assert ended.code == 0, ended.err
    found = Store(copied_study).read_results()
    *ours, theirs = found.runs
    assert [run.id for run in ours] == [run.id for run in results.runs]
    assert (theirs.label, theirs.imported_from, theirs.state) == (
        "imported theirs",
        "theirs",
        "done",
    )
    assert theirs.configuration.method == "imported"
    assert (theirs.configuration.rank, theirs.configuration.lr) == (3, None)
    assert theirs.metrics.keys() == ours[0].metrics.keys()
    assert found.configurations == results.configurations
    greedy = (found.analysis.decoders if found.analysis else {})["greedy"]
    assert theirs.id in {comparison.run for comparison in greedy.comparisons} | {greedy.best}
    assert greedy.costs is not None
    assert theirs.id not in greedy.costs.by_seconds, "nobody knows what it cost"
    assert "imported theirs" in (copied_study / "report" / "index.html").read_text()


def test_it_answers_as_peft_says(adapter: Path, copied_study: Path) -> None:
    imported(adapter, copied_study)
    panel = Panel(copied_study)
    plain = AutoModelForCausalLM.from_pretrained(panel.folder, dtype=torch.float32)
    tuned = peft.PeftModel.from_pretrained(plain, adapter).eval()
    context, question = "Red clay is found north of the river.", "Where is red clay?"
    reply = panel.answer(context, question, ["imported theirs"])[-1]
    prompt = panel.study.data.prompt.format(context=context, question=question)
    ids = panel.base.tokenizer(prompt, return_tensors="pt")["input_ids"]
    told = tuned.generate(input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False,
                          max_new_tokens=6, pad_token_id=0)[0, ids.shape[1] :]  # fmt: skip
    text = panel.base.text(told[: len(reply.tokens)].tolist())
    assert "".join(token.text for token in reply.tokens) == text


def test_importing_again_changes_nothing_and_a_later_run_keeps_it(
    adapter: Path, copied_study: Path
) -> None:
    first = json.loads(imported(adapter, copied_study).out)
    assert json.loads(imported(adapter, copied_study).out)["runs"] == first["runs"]
    again = call("decode", copied_study, "--decoder", "span", "--json")
    runs = json.loads(again.out)["runs"]
    assert [run["id"] for run in runs] == [run["id"] for run in first["runs"]]
    assert "span" in runs[-1]["metrics"]


def test_an_exported_run_comes_back_with_its_scores(
    copied_study: Path, results: Results, tmp_path: Path
) -> None:
    run = results.runs[1]
    call("export", copied_study, "--run", run.id, "--out", tmp_path / "shared")
    imported(tmp_path / "shared", copied_study, "--name", "our own")
    back = Store(copied_study).read_results().runs[-1]
    assert back.label == "imported our own"
    ours, theirs = run.metrics["greedy"], back.metrics["greedy"]
    assert not isinstance(ours, float)
    assert not isinstance(theirs, float)
    assert theirs.rank.mean == ours.rank.mean
    assert back.metrics["eval_loss"] == pytest.approx(run.metrics["eval_loss"], rel=1e-6)


def test_the_leaderboard_shows_it_without_a_time(adapter: Path, copied_study: Path) -> None:
    ended = call("import", adapter, "--study", copied_study, "--name", "of a friend")
    assert "imported of a friend" in ended.out


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "dora": ({"use_dora": True}, "only plain LoRA is read; this one sets use_dora"),
    "whole modules": ({"modules_to_save": ["ln_f"]}, "this one sets modules_to_save"),
    "embeddings": ({"target_modules": ["wpe"], "fan_in_fan_out": False}, "is no part of a plain"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_represented_is_refused(
    kind: str, make_model: MakeModel, copied_study: Path, tmp_path: Path
) -> None:
    changes, said = REFUSED[kind]
    adapter = foreign_adapter(tmp_path / kind, make_model("gpt2"), **changes)
    assert_unchanged(adapter, copied_study, said)


def test_adapters_of_other_bases_are_refused(
    make_model: MakeModel, adapter: Path, copied_study: Path, tmp_path: Path
) -> None:
    wider = foreign_adapter(tmp_path / "wider", make_model("gpt2", n_embd=64))
    assert_unchanged(wider, copied_study, "maps 64 to 192 numbers, but in", "32 to 96")
    llama = {"target_modules": ["q_proj"], "fan_in_fan_out": False}
    other = foreign_adapter(tmp_path / "other", make_model("llama"), **llama)
    assert_unchanged(other, copied_study, "has no model.layers.0.self_attn.q_proj")
    assert_unchanged(tmp_path / "nothing", copied_study, "no adapter here")


def test_a_base_of_another_name_on_the_hub_is_refused(
    adapter: Path, copied_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lorasweep.finished.sharing import importing

    config = json.loads((adapter / CONFIG).read_text())
    (adapter / CONFIG).write_text(json.dumps({**config, "base_model_name_or_path": "gpt2"}))
    monkeypatch.setattr(importing, "hub_id_of", lambda name: f"hub/{Path(name).name}")
    assert_unchanged(adapter, copied_study, "an adapter of hub/gpt2, but", "is hub/model")


def test_an_unfinished_study_is_refused(
    adapter: Path, copied_study: Path, results: Results
) -> None:
    shutil.rmtree(Store(copied_study).run_folder(results.runs[0].id))
    assert_unchanged(adapter, copied_study, "has runs that are not finished")
    assert_refused(imported(adapter, copied_study / "none"), "no study in")


def contents(out: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}


def assert_unchanged(adapter: Path, out: Path, *said: str) -> None:
    before, folders = contents(out), sorted(out.rglob("*"))
    assert_refused(imported(adapter, out, "--quiet"), *said)
    assert contents(out) == before
    assert sorted(out.rglob("*")) == folders


def change_weights(adapter: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Change the first tensor of an adapter's file."""
    tensors = load_file(adapter / WEIGHTS)
    first = min(tensors)
    save_file({**tensors, first: change(tensors[first])}, adapter / WEIGHTS)


def change_config(adapter: Path, **changes: Any) -> None:
    config = json.loads((adapter / CONFIG).read_text())
    (adapter / CONFIG).write_text(json.dumps({**config, **changes}))


def test_numbers_that_are_not_finite_are_refused_by_the_adapters_own_name(
    adapter: Path, copied_study: Path
) -> None:
    change_weights(adapter, lambda tensor: tensor * float("nan"))
    assert_unchanged(adapter, copied_study, f"{adapter / WEIGHTS}: ", "not finite")
    change_weights(adapter, lambda tensor: torch.full_like(tensor, 1e38))
    change_config(adapter, lora_alpha=1e6)
    said = f"{adapter / WEIGHTS}: the loss of imported theirs on the eval questions is nan in fp32"
    assert_unchanged(adapter, copied_study, said)


def test_what_cannot_be_scored_here_and_now_leaves_the_folder_as_it_was(
    adapter: Path, copied_study: Path
) -> None:
    kept = Store(copied_study).read_lock()
    assert kept is not None
    Store(copied_study).write_lock(kept.model_copy(update={"device": "cuda"}))
    assert_unchanged(adapter, copied_study, "was begun on 'cuda'")
    facts = {**kept.facts, "data.eval (the questions)": "of another day"}
    Store(copied_study).write_lock(kept.model_copy(update={"facts": facts}))
    assert_unchanged(adapter, copied_study, "another data.eval (the questions)")
    facts = {**kept.facts, MODEL_FACT: "of another day"}
    Store(copied_study).write_lock(kept.model_copy(update={"facts": facts}))
    assert_unchanged(adapter, copied_study, "not the weights that the runs trained on")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError("for the answers")])
def test_an_import_that_is_cut_short_leaves_the_folder_as_it_was(
    adapter: Path, copied_study: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*given: Any) -> None:
        raise error

    before = contents(copied_study)
    for place, name in ((Examiner, "_answer"), (Store, "write_lock")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, fail)
            assert imported(adapter, copied_study, "--quiet").code in (2, 130)
        assert contents(copied_study) == before
    assert imported(adapter, copied_study).code == 0


KEYS = st.sampled_from(["c_attn", "c_attn[", "(", "", "*", ".*", "x" * 5000]) | st.text(max_size=4)
NUMBERS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
VALUES = st.recursive(
    NUMBERS | st.sampled_from([0, -1, 1e300, 10**400, "x" * 5000, "~nosuchuser/x", "models/x"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=4,
)
NAMES = ["r", "lora_alpha", "lora_dropout", "use_rslora", "fan_in_fan_out", "rank_pattern",
         "alpha_pattern", "base_model_name_or_path", "peft_type", "bias", "init_lora_weights",
         "modules_to_save", "target_modules", "use_dora"]  # fmt: skip


@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
@given(changes=st.dictionaries(st.sampled_from(NAMES), VALUES, min_size=1, max_size=2))
def test_no_config_ends_in_anything_but_a_message(
    changes: dict[str, Any], adapter: Path, gpt2_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of an import, scoring, is not reached by a config that is refused."""
    monkeypatch.setattr(driver, "join", lambda *given: None)
    before, sound = contents(gpt2_study), (adapter / CONFIG).read_text()
    (adapter / CONFIG).write_text(json.dumps({**json.loads(sound), **changes}))
    try:
        import_adapter(adapter, gpt2_study)
    except UserError as error:
        message = str(error)
        assert "\n" not in message
        assert len(message) < 1000
    finally:
        (adapter / CONFIG).write_text(sound)
    assert contents(gpt2_study) == before


def damaged_import(adapter: Path, out: Path) -> str:
    """Import an adapter, and leave its folder as a version did that joined before it scored."""
    run = json.loads(imported(adapter, out).out)["runs"][-1]["id"]
    store = Store(out)
    change_weights(store.of_run(run).adapter_folder, lambda tensor: tensor * float("nan"))
    record = store.read_run(run)
    assert record is not None
    store.write_run(record.model_copy(update={"metrics": {}}))
    return str(run)


def test_an_import_that_cannot_be_scored_is_a_failed_run_that_is_told(
    adapter: Path, copied_study: Path, make_model: MakeModel, tmp_path: Path
) -> None:
    run = damaged_import(adapter, copied_study)
    ended = call("decode", copied_study, "--decoder", "span")
    assert ended.code == 0, ended.err
    assert "warning: imported theirs has failed: " in ended.err
    found = Store(copied_study).read_results()
    assert {each.id: each.state for each in found.runs}[run] == "failed"
    assert any("imported theirs failed: " in warning for warning in found.warnings)
    assert "imported theirs failed: " in (copied_study / "report" / "index.html").read_text()
    other = foreign_adapter(tmp_path / "another", make_model("gpt2"), r=2)
    ended = imported(other, copied_study)
    assert ended.code == 0, ended.err
    assert [each["state"] for each in json.loads(ended.out)["runs"]][-2:] == ["failed", "done"]
    assert imported(adapter, copied_study).code == 0, "whole files mend what had failed"
    assert {each.state for each in Store(copied_study).read_results().runs} == {"done"}


def test_files_that_joined_before_keep_their_name_and_that_is_said(
    adapter: Path, copied_study: Path
) -> None:
    imported(adapter, copied_study)
    ended = call("import", adapter, "--study", copied_study, "--name", "other")
    assert "warning: the same files joined before, as 'imported theirs'" in ended.err
    assert Store(copied_study).read_results().runs[-1].label == "imported theirs"


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (None, "names no base model of the Hub (nothing); its shapes fit"),
        ("~nosuchuser/x", "names no base model of the Hub ('~nosuchuser/x')"),
        ("m" * 5000, "(5002 characters)"),
        ("meta-llama/Llama-2-7b-hf", "names meta-llama/Llama-2-7b-hf; this study's base is a"),
    ],
)
def test_a_base_that_is_named_on_one_side_alone_is_told(
    adapter: Path, copied_study: Path, named: str | None, said: str
) -> None:
    change_config(adapter, base_model_name_or_path=named)
    ended = imported(adapter, copied_study)
    assert ended.code == 0, ended.err
    (warning,) = json.loads(ended.out)["runs"][-1]["warnings"]
    assert said in warning
    assert len(warning) < 250
