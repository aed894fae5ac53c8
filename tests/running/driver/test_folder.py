"""A tiny study end to end: what is on disk and in the results."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas
import pytest
import torch
from folders import files_of, results_of

import tiny
from lorasweep import UserError, run
from lorasweep.analysis.results import ranked
from lorasweep.folder.records import EvalEntry, RunRecord, StepEntry
from lorasweep.folder.store import Store
from lorasweep.model.peft_format import load_adapter

RUN_FILES = {
    "record.json", "history.jsonl", "losses.json", "adapter/adapter_config.json",
    "adapter/adapter_model.safetensors", "adapter/lorasweep.json", "predictions/greedy.json",
    "predictions/greedy.parquet",
}  # fmt: skip
NUMBER = (int, float)


def test_the_folder_holds_what_the_design_lists(finished: Path) -> None:
    names = {name for name in files_of(finished) if not name.startswith("report/")}
    run_ids = {run.id for run in results_of(finished).runs}
    expected = {f"runs/{run_id}/{name}" for run_id in run_ids for name in RUN_FILES}
    base = {
        "base/record.json",
        "base/losses.json",
        "base/predictions/greedy.json",
        "base/predictions/greedy.parquet",
    }
    assert len(run_ids) == 4
    assert names == expected | base | {"study.lock.json", "results.json"}
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
    assert (results["schema"], results["study"]) == (2, "tiny")
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
        lines = Store(finished).of_run(one.id).read_history()
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
def test_the_caller_keeps_its_threads(file: Path, finished: Path, tmp_path: Path) -> None:
    """A folder that was begun with fewer threads goes on with these, and its caller does not."""
    out = Path(shutil.copytree(finished, tmp_path / "out"))
    store, threads = Store(out), torch.get_num_threads()
    lock = store.read_lock()
    assert lock
    store.write_lock(lock.model_copy(update={"threads": threads + 1}))
    shutil.rmtree(next((out / "runs").iterdir()))
    run(tiny.load(file), out)
    assert torch.get_num_threads() == threads


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


@pytest.mark.usefixtures("no_report")
def test_full_fine_tuning_is_scored_on_the_test_questions_too(file: Path, tmp_path: Path) -> None:
    source = tmp_path / "test.jsonl"
    row = {"context": "Bo lives in Rome.", "question": "Who?", "answers": ["Bo"]}
    source.write_text(json.dumps(row) + "\n")
    grid = 'grid=[{rank=2, lr=1e-3}, {method="full", lr=[1e-4, 1e-5]}]'
    results = run(tiny.load(file, grid, f"data.test={source}"), tmp_path / "out")
    full = [run for run in ranked(results) if run.configuration.method == "full"]
    scored = {run.id for run in results.runs if run.test_metrics}
    assert scored == {ranked(results)[0].id, full[0].id}


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
    with pytest.raises(
        UserError, match=f"{damaged / 'model.safetensors'}: transformers cannot load this model"
    ):
        run(tiny.load(file, f"model.base={damaged}"), out)
    assert not out.exists()


def test_a_model_that_lacks_a_weight_is_refused(file: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "lacking"
    shutil.copytree(file.parent / "model", folder)
    weights = load_file(folder / "model.safetensors")
    del weights["transformer.h.1.attn.c_attn.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lack transformer\.h\.1\.attn\.c_attn\.weight"):
        run(tiny.load(file, f"model.base={folder}"), tmp_path / "out")


@pytest.mark.usefixtures("no_worker", "no_report")
def test_a_studys_file_or_name_stands_for_the_study(file: Path, out: Path) -> None:
    expected = results_of(out).runs
    assert run(file, out).runs == run(str(file), out).runs == expected
    with pytest.raises(UserError, match="no study 'no-such-study'"):
        run("no-such-study", out)
