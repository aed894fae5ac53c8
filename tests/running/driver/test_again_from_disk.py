"""Runs are scored from their files as they were scored when they were trained."""

from pathlib import Path

import pytest

import tiny
from lorasweep import run
from lorasweep.folder.records import RunRecord
from lorasweep.folder.scores import Scores
from lorasweep.folder.store import Store

FULL_ALONE = ('grid=[{method = "full", lr = 1e-3}]',)


def assert_scored_the_same_from_disk(study_file: Path, out: Path, *overrides: str) -> RunRecord:
    """Run a study of one run, drop its metrics, and let the next call score it again."""
    (before,) = run(tiny.load(study_file, *overrides), out).runs
    Store(out).write_run(before.model_copy(update={"metrics": {}}))
    (after,) = run(tiny.load(study_file, *overrides), out).runs
    loss = before.metrics["eval_loss"]
    assert after.metrics["eval_loss"] == pytest.approx(loss, rel=1e-6)
    ours, theirs = after.metrics["greedy"], before.metrics["greedy"]
    assert isinstance(ours, Scores)
    assert isinstance(theirs, Scores)
    assert (ours.rank.mean, ours.scores["exact_match"].mean) == (
        theirs.rank.mean,
        theirs.scores["exact_match"].mean,
    )
    return after


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize("overrides", [(), FULL_ALONE])
def test_losses_of_a_folder_from_before_are_measured_again(
    file: Path, tmp_path: Path, overrides: tuple[str, ...]
) -> None:
    out, store = tmp_path / "out", Store(tmp_path / "out")
    runs = run(tiny.load(file, *overrides), out).runs
    places = [store.of_base, *(store.of_run(each.id) for each in runs)]
    before = [files.read_losses() for files in places]
    for files in places:
        (files.folder / "losses.json").unlink()
    again = run(tiny.load(file, *overrides), out)
    assert again.runs == runs
    metrics = [again.base.metrics, *(each.metrics for each in runs)]
    for files, old, found in zip(places, before, metrics, strict=True):
        new = files.read_losses()
        assert new is not None
        assert old is not None
        assert (new.eval.paragraphs, new.train.paragraphs) == (
            old.eval.paragraphs, old.train.paragraphs,
        )  # fmt: skip
        assert new.eval.losses == pytest.approx(old.eval.losses, rel=1e-5)
        assert new.train.losses == pytest.approx(old.train.losses, rel=1e-5)
        assert old.eval.mean == pytest.approx(found["eval_loss"], rel=1e-9)
    assert again.analysis is not None
    assert again.analysis.overfitting is not None
    assert [each.run for each in again.analysis.overfitting.runs] == [each.id for each in runs]


@pytest.mark.usefixtures("no_report")
def test_parts_of_a_fused_module(file: Path, tmp_path: Path) -> None:
    grid = ("grid.targets=qv", "grid.rank=2", "grid.lr=1e-2", "grid.lr_ratio=4")
    record = assert_scored_the_same_from_disk(file, tmp_path / "out", *grid)
    assert record.trainable_parameters == 4 * 2 * (32 + 32)
    assert {name.rpartition(".")[2] for name in record.modules} == {"c_attn:q", "c_attn:v"}


@pytest.mark.usefixtures("no_report")
def test_a_fully_trained_model(file: Path, tmp_path: Path) -> None:
    record = assert_scored_the_same_from_disk(file, tmp_path / "out", *FULL_ALONE)
    assert record.label == "full lr1e-3"
    assert (record.modules, record.scale) == ([], None)
