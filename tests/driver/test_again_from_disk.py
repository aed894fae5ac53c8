"""Runs are scored from their files as they were scored when they were trained."""

from pathlib import Path

import pytest

import tiny
from lorasweep import run
from lorasweep.records import RunRecord, Scores
from lorasweep.store import Store

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
    assert (ours.f1, ours.exact_match) == (theirs.f1, theirs.exact_match)
    return after


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
