"""Studies that train a model in full beside adapters."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import tiny
from lorasweep import run
from lorasweep.folder.records import Results
from lorasweep.folder.store import Store

FULL = '{method = "full", lr = 1e-3}'
LORA = '{rank = 2, alpha = "2r", lr = 1e-3}'
BOTH = (f"grid=[{FULL}, {LORA}]", "pack.checkpoint_minutes=0", "recipe.epochs=2")


@pytest.fixture(scope="module")
def both(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of a full fine-tuning and an adapter after it, with its report."""
    out = tmp_path_factory.mktemp("both") / "out"
    run(tiny.load(file, *BOTH), out)
    return out


def results_of(out: Path) -> Results:
    return Store(out).read_results()


def test_a_full_run_leaves_a_model_and_no_adapter(both: Path) -> None:
    full, lora = results_of(both).runs
    folder = both / "runs" / full.id
    assert not (folder / "adapter").exists()
    assert (both / "runs" / lora.id / "adapter").is_dir()
    model = AutoModelForCausalLM.from_pretrained(folder / "model")
    assert model.num_parameters() == full.trainable_parameters
    assert len(AutoTokenizer.from_pretrained(folder / "model")) == 600
    assert full.pack.lanes == 1
    assert full.metrics["eval_loss"] != lora.metrics["eval_loss"]


def test_what_lora_alone_has_is_null_on_disk(both: Path) -> None:
    results = json.loads((both / "results.json").read_text())
    full = results["runs"][0]
    for place in (full["configuration"], results["configurations"][0]):
        assert place["method"] == "full"
        for key in ("rank", "alpha", "dropout", "targets", "scaling", "lr_ratio"):
            assert place[key] is None
    assert full["scale"] is None
    assert full["label"] == "full lr1e-3"


def test_the_report_shows_it(both: Path) -> None:
    page = (both / "report" / "index.html").read_text()
    assert "full lr1e-3" in page
    assert ">None<" not in page


@pytest.mark.usefixtures("no_report")
def test_the_base_model_is_untouched_for_the_packs_after_it(
    file: Path, both: Path, tmp_path: Path
) -> None:
    alone = run(tiny.load(file, *BOTH, f"grid=[{LORA}]"), tmp_path / "out")
    (expected,) = alone.runs
    _, found = results_of(both).runs
    assert found.id == expected.id
    assert tiny.outcomes(alone)[found.id] == tiny.outcomes(results_of(both))[found.id]


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize("moment", [1, 3, 4])
def test_a_stopped_full_run_goes_on_with_the_same_bits(
    file: Path, both: Path, tmp_path: Path, moment: int
) -> None:
    study = tiny.load(file, *BOTH, f"grid=[{FULL}]")
    with pytest.raises(KeyboardInterrupt):
        # The base model's answers come first, as one.
        run(study, tmp_path, tiny.StopAfter(moment + 1))
    (found,) = run(study, tmp_path).runs
    expected = results_of(both).runs[0]
    assert found.id == expected.id
    ours, theirs = (
        load_file(out / "runs" / found.id / "model" / "model.safetensors")
        for out in (tmp_path, both)
    )
    assert ours.keys() == theirs.keys()
    assert all(ours[name].equal(theirs[name]) for name in theirs)
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.usefixtures("no_report")
def test_a_full_run_that_fails_leaves_its_history_alone(file: Path, tmp_path: Path) -> None:
    study = tiny.load(file, 'grid=[{method = "full", lr = 1e30}]', "recipe.batch_size=4")
    (failed,) = run(study, tmp_path).runs
    assert failed.state == "failed"
    names = {path.name for path in (tmp_path / "runs" / failed.id).iterdir()}
    assert names == {"record.json", "history.jsonl"}
