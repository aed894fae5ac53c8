"""A tiny study end to end: what is on disk, and what a second call does."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas
import pytest
import torch

import tiny
from lorasweep import Results, Study, UserError, driver, evaluate, run
from lorasweep.peft_format import load_adapter
from lorasweep.progress import Silent
from lorasweep.records import EvalEntry, RunRecord, StepEntry
from lorasweep.store import Store

RUN_FILES = {
    "record.json", "history.jsonl", "adapter/adapter_config.json",
    "adapter/adapter_model.safetensors", "predictions/greedy.json", "predictions/greedy.parquet",
}  # fmt: skip
NUMBER = (int, float)


@pytest.fixture(scope="module")
def file(
    tmp_path_factory: pytest.TempPathFactory, make_model: Callable[..., Any], tokenizer: Any
) -> Path:
    return tiny.write_study(tmp_path_factory.mktemp("tiny"), make_model("gpt2"), tokenizer)


@pytest.fixture(scope="module", autouse=True)
def graded_by_length() -> Iterator[None]:
    """Score answers by their length: those of a random model are never right, all runs equal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "f1", lambda answer, references: len(answer) % 5 / 4)
        yield


@pytest.fixture(scope="module")
def study(file: Path) -> Study:
    return tiny.load(file)


@pytest.fixture(scope="module")
def finished(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished study, report included; tests only read it."""
    out = tmp_path_factory.mktemp("finished") / "out"
    run(study, out)
    return out


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    """A finished folder that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "out"))


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "write_report", lambda out: None)


@pytest.fixture
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make loading the base model an error."""

    def refuse(*args: Any) -> None:
        raise AssertionError("the base model is loaded, though there is nothing to compute")

    monkeypatch.setattr(driver, "Worker", refuse)


@pytest.fixture
def packs_run(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """The run ids of each pack that is trained."""
    trained: list[set[str]] = []
    run_pack = driver.Worker.run_pack

    def spy(self: Any, pack: Any, labels: Any) -> Any:
        trained.append({run.id for run in pack.runs})
        return run_pack(self, pack, labels)

    monkeypatch.setattr(driver.Worker, "run_pack", spy)
    return trained


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def results_of(out: Path) -> Results:
    return Store(out).read_results()


def test_the_folder_holds_what_the_design_lists(finished: Path) -> None:
    names = {name for name in files_of(finished) if not name.startswith("report/")}
    run_ids = {run.id for run in results_of(finished).runs}
    expected = {f"runs/{run_id}/{name}" for run_id in run_ids for name in RUN_FILES}
    base = {"base/record.json", "base/predictions/greedy.json", "base/predictions/greedy.parquet"}
    assert len(run_ids) == 4
    assert names - {".busy"} == expected | base | {"study.lock.json", "results.json"}
    assert (finished / "report" / "index.html").stat().st_size > 1000


def check(value: Any, shape: Any, where: str = "results") -> None:
    """Compare decoded JSON with a shape: a type, a list of one shape, or keys with shapes."""
    if isinstance(shape, dict):
        assert set(shape) <= set(value), f"{where} lacks {set(shape) - set(value)}"
        for key, inner in shape.items():
            check(value[key], inner, f"{where}.{key}")
    elif isinstance(shape, list):
        assert isinstance(value, list), where
        for index, item in enumerate(value):
            check(item, shape[0], f"{where}[{index}]")
    else:
        assert isinstance(value, shape), f"{where} = {value!r}"
        assert not isinstance(value, bool), where


METRICS = {
    "greedy": {"exact_match": NUMBER, "f1": NUMBER, "f1_interval": [NUMBER], "num_questions": int},
    "eval_loss": float,
}
CONFIGURATION = {
    "method": str, "targets": str, "rank": int, "lr": NUMBER, "alpha": (*NUMBER, str),
    "dropout": NUMBER, "seed": int,
}  # fmt: skip
RUN = {
    "id": str, "state": str, "configuration": {**CONFIGURATION, "alpha": NUMBER}, "label": str,
    "modules": [str], "trainable_parameters": int, "num_train_questions": int, "num_epochs": int,
    "pack": {"id": str, "lanes": int, "seconds": float}, "train_seconds": float,
    "peak_memory_bytes": int, "metrics": METRICS,
}  # fmt: skip
CONTRACT = {
    "schema": int, "study": str, "base": {"metrics": METRICS}, "runs": [RUN],
    "configurations": [{**CONFIGURATION, "run": str}], "warnings": [str],
}  # fmt: skip


def test_results_keep_the_public_contract(finished: Path) -> None:
    results = json.loads((finished / "results.json").read_text())
    check(results, CONTRACT)
    assert (results["schema"], results["study"]) == (1, "tiny")
    assert len(results["runs"]) == len(results["configurations"]) == 4
    assert {c["run"] for c in results["configurations"]} == {r["id"] for r in results["runs"]}
    assert {c["alpha"] for c in results["configurations"]} == {"2r"}
    for scored in (results["base"], *results["runs"]):
        greedy = scored["metrics"]["greedy"]
        low, high = greedy["f1_interval"]
        assert 0 <= low <= greedy["f1"] <= high <= 100
        assert greedy["num_questions"] >= 15
        assert scored["metrics"]["eval_loss"] > 0
    for one in results["runs"]:
        assert one["state"] == "done"
        assert one["pack"]["lanes"] == 2
        assert one["train_seconds"] == pytest.approx(one["pack"]["seconds"] / 2)
        assert one["peak_memory_bytes"] > 1e6
        assert one["configuration"]["alpha"] == 2 * one["configuration"]["rank"]
        assert one["num_epochs"] == 1


def test_training_changed_the_runs_each_in_its_own_way(finished: Path) -> None:
    results = results_of(finished)
    losses = [one.metrics["eval_loss"] for one in (results.base, *results.runs)]
    assert len(set(losses)) == 5


def test_a_runs_record_is_what_the_results_say(finished: Path) -> None:
    for one in results_of(finished).runs:
        file = finished / "runs" / one.id / "record.json"
        assert RunRecord.model_validate_json(file.read_text()) == one


def test_predictions_are_a_table_and_squads_own_form(finished: Path) -> None:
    results = results_of(finished)
    folders = [finished / "base", *(finished / "runs" / one.id for one in results.runs)]
    for folder in folders:
        table = pandas.read_parquet(folder / "predictions" / "greedy.parquet")
        answers = json.loads((folder / "predictions" / "greedy.json").read_text())
        assert dict(zip(table["id"], table["prediction"], strict=True)) == answers
        assert {"id", "article", "paragraph", "answers", "f1", "ended"} <= set(table.columns)
        assert all(isinstance(answer, str) for answer in answers.values())
        assert len(answers) == results.data["eval"].questions


def test_history_has_a_line_per_step_and_per_evaluation(finished: Path) -> None:
    results = results_of(finished)
    for one in results.runs:
        lines = Store(finished).read_history(one.id)
        steps = [line for line in lines if isinstance(line, StepEntry)]
        assert [step.step for step in steps] == list(range(one.num_steps))
        assert sum(step.num_questions for step in steps) == one.num_train_questions
        assert steps[0].lr == one.configuration.lr
        (evaluation,) = [line for line in lines if isinstance(line, EvalEntry)]
        assert evaluation.eval_loss == one.metrics["eval_loss"]


def test_the_adapters_load(finished: Path) -> None:
    for one in results_of(finished).runs:
        adapter = load_adapter(finished / "runs" / one.id / "adapter")
        assert sorted(adapter.weights) == sorted(one.modules)
        assert (adapter.rank, adapter.scale) == (one.configuration.rank, 2.0)
        size = sum(A.numel() + B.numel() for A, B in adapter.weights.values())
        assert size == one.trainable_parameters
        assert all(torch.isfinite(B).all() and B.any() for _, B in adapter.weights.values())


@pytest.mark.usefixtures("no_worker")
def test_a_second_call_computes_nothing(study: Study, out: Path) -> None:
    before = files_of(out)
    results = run(study, out)
    after = files_of(out)
    assert results == results_of(out)
    changed = {name for name in before if after.get(name) != before[name]}
    assert {name for name in changed if not name.startswith("report/")} == set()
    assert set(after) == set(before)


@pytest.mark.usefixtures("no_worker", "no_report")
@pytest.mark.parametrize(
    "overrides",
    [
        ["pack.lanes=1"],
        ['targets.mine=["c_attn", "attn.c_proj"]', "grid.targets=mine"],
        ["recipe.micro_batch=77"],
        ["grid.rank=2"],
    ],
)
def test_what_decides_no_result_computes_nothing(
    file: Path, out: Path, overrides: list[str]
) -> None:
    before = {one.id for one in results_of(out).runs}
    results = run(tiny.load(file, *overrides), out)
    assert {one.id for one in results.runs} <= before
    assert all(c["run"] in before for c in results.configurations)


@pytest.mark.usefixtures("no_report")
def test_new_grid_values_only_add_runs(file: Path, out: Path, packs_run: list[set[str]]) -> None:
    before = {run.id: run for run in results_of(out).runs}
    results = run(tiny.load(file, "grid.rank=[2, 3, 4]", "grid.lr=[3e-3, 1e-3]"), out)
    after = {run.id: run for run in results.runs}
    assert {i: one for i, one in after.items() if i in before} == before
    assert packs_run == [after.keys() - before.keys()]
    assert {after[i].configuration.rank for i in packs_run[0]} == {3}


@pytest.mark.usefixtures("no_report")
def test_a_missing_run_folder_is_redone_with_equal_numbers(
    study: Study, out: Path, packs_run: list[set[str]]
) -> None:
    before = results_of(out)
    files = files_of(out)
    lost = before.runs[0].id
    shutil.rmtree(out / "runs" / lost)
    assert tiny.outcomes(run(study, out)) == tiny.outcomes(before)
    assert len(packs_run) == 1
    after = files_of(out)
    kept = {n for n in files if n.startswith("runs/") and lost not in n}
    assert {n: after[n] for n in kept} == {n: files[n] for n in kept}
    weights = f"runs/{lost}/adapter/adapter_model.safetensors"
    assert after[weights] == files[weights]


@pytest.mark.usefixtures("no_report")
def test_a_missing_record_of_the_base_is_redone_alone(
    study: Study, out: Path, packs_run: list[set[str]]
) -> None:
    before = results_of(out)
    shutil.rmtree(out / "base")
    results = run(study, out)
    assert results.base.metrics["eval_loss"] == before.base.metrics["eval_loss"]
    assert packs_run == []


@pytest.mark.usefixtures("no_worker")
@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("name=another", "another name: 'tiny', now 'another'"),
        ('data.prompt="{context} {question} Answer:"', "another data.prompt: "),
        ("recipe.epochs=2", "another recipe.epochs: 1, now 2"),
        ("data.seed=1", "another data.train (the questions): "),
        ("data.num_eval=60", "another data.eval (the questions): "),
        ("evaluate.max_new_tokens=2", "another evaluate.max_new_tokens: 3, now 2"),
        ("model.base={other}", "another model.base (its files): "),
    ],
)
def test_a_folder_of_other_facts_is_refused_and_left_untouched(
    file: Path, finished: Path, tmp_path: Path, override: str, said: str
) -> None:
    other = tmp_path / "other"
    shutil.copytree(file.parent / "model", other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "n_inner": 128}))
    before = files_of(finished)
    with pytest.raises(UserError) as caught:
        run(tiny.load(file, override.replace("{other}", str(other))), finished)
    assert str(caught.value).startswith(f"{finished} was made with {said}")
    assert files_of(finished) == before


class Interrupting(Silent):
    """Presses Ctrl-C as a pack begins, ends or answers."""

    def __init__(self, start_of: str) -> None:
        self.start_of = start_of

    def start(self, job: str, total: int) -> None:
        if job.startswith(self.start_of):
            raise KeyboardInterrupt


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize(
    ("start_of", "num_kept"),
    [("base model", 0), ("pack-0: train", 0), ("pack-0: answer", 0), ("pack-1: train", 2),
     ("pack-1: answer", 2)],
)  # fmt: skip
def test_an_interrupted_call_is_completed_by_the_next(
    study: Study, finished: Path, tmp_path: Path, start_of: str, num_kept: int
) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run(study, out, Interrupting(start_of))
    kept = {f.parent.name: f.read_bytes() for f in out.glob("runs/*/record.json")}
    assert len(kept) == num_kept
    if num_kept:
        assert {one.id for one in results_of(out).runs} == set(kept)
        assert all(load_adapter(out / "runs" / i / "adapter").weights for i in kept)
    results = run(study, out)
    assert tiny.outcomes(results) == tiny.outcomes(results_of(finished))
    assert {i: (out / "runs" / i / "record.json").read_bytes() for i in kept} == kept
    adapters = {n: c for n, c in files_of(finished).items() if n.endswith(".safetensors")}
    assert {n: c for n, c in files_of(out).items() if n.endswith(".safetensors")} == adapters


@pytest.mark.usefixtures("no_report")
def test_a_run_is_the_same_in_any_pack(file: Path, finished: Path, tmp_path: Path) -> None:
    results = run(tiny.load(file, "pack.lanes=1"), tmp_path / "out")
    expected = {one.id: one for one in results_of(finished).runs}
    assert {one.id for one in results.runs} == set(expected)
    for one in results.runs:
        assert one.pack.lanes == 1
        assert one.metrics["eval_loss"] == pytest.approx(
            expected[one.id].metrics["eval_loss"], rel=1e-4
        )


@pytest.mark.usefixtures("no_report")
def test_a_lane_that_fails_shows_in_the_results(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    overrides = ["grid.rank=2", "grid.lr=[1e-3, 1e30]", "recipe.batch_size=4"]
    results = run(tiny.load(file, *overrides), out)
    good, failed = results.runs
    assert (good.state, failed.state) == ("done", "failed")
    assert failed.failure is not None
    assert failed.metrics == {}
    assert any(
        warning.startswith(f"{failed.label} failed: its {failed.failure.quantity} was ")
        for warning in results.warnings
    )
    assert results.chosen == good.id
    folder = out / "runs" / failed.id
    assert set(files_of(folder)) == {"record.json", "history.jsonl"}
    json.loads((out / "results.json").read_text(), parse_constant=pytest.fail)


@pytest.mark.usefixtures("no_report")
def test_a_failed_lane_is_not_tried_again(
    file: Path, tmp_path: Path, packs_run: list[set[str]]
) -> None:
    study = tiny.load(file, "grid.rank=2", "grid.lr=1e30", "recipe.batch_size=64")
    for _ in range(2):
        (one,) = run(study, tmp_path / "out").runs
        assert one.state == "failed"
    assert len(packs_run) == 1


@pytest.mark.usefixtures("no_report")
def test_the_chosen_run_and_the_base_are_scored_on_the_test_questions(
    file: Path, tmp_path: Path
) -> None:
    source = tmp_path / "test.jsonl"
    row = {"context": "Bo lives in Rome.", "question": "Who?", "answers": ["Bo"]}
    source.write_text(json.dumps(row) + "\n")
    results = run(tiny.load(file, f"data.test={source}"), tmp_path / "out")
    assert results.data["test"].questions == 1
    assert "greedy" in results.base.test_metrics
    assert [run.id for run in results.runs if run.test_metrics] == [results.chosen]


@pytest.fixture
def damaged(file: Path, tmp_path: Path) -> Path:
    """A model folder whose weights are cut short."""
    folder = tmp_path / "damaged"
    shutil.copytree(file.parent / "model", folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    return folder


def test_a_model_that_does_not_load_leaves_no_decisions(
    file: Path, damaged: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(UserError, match=f"{damaged}: transformers cannot load this model"):
        run(tiny.load(file, f"model.base={damaged}"), out)
    assert set(files_of(out)) <= {".busy"}


def test_a_model_that_lacks_a_weight_is_refused(file: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "lacking"
    shutil.copytree(file.parent / "model", folder)
    weights = load_file(folder / "model.safetensors")
    del weights["transformer.h.1.attn.c_attn.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lack transformer\.h\.1\.attn\.c_attn\.weight"):
        run(tiny.load(file, f"model.base={folder}"), tmp_path / "out")
