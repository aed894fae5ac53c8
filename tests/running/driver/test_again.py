"""What a second call does: nothing twice, nothing lost, nothing mixed."""

import json
import shutil
from pathlib import Path

import pytest
from folders import files_of, results_of

import tiny
from lorasweep import Study, UserError, run
from lorasweep.console.progress import Silent
from lorasweep.model.peft_format import load_adapter


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
    [("base model", 0), ("pack 1 of 2: train", 0), ("pack 1 of 2: answer", 0),
     ("pack 2 of 2: train", 2),
     ("pack 2 of 2: answer", 2)],
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
