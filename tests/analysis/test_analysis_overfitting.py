"""Overfitting: gaps of runs and of values of axes, and what is said where losses are missing."""

from pathlib import Path

import numpy as np
import pytest
from invented_answers import make_run, predictions, shares_right, write

from lorasweep.analysis.overfitting import overfitting
from lorasweep.folder.findings import Overfitting
from lorasweep.folder.records import FinalLosses, LossesByParagraph
from lorasweep.folder.store import Store

GAPS = (0.1, 0.5, 0.2, 0.6)  # rank 2, 4 at each of two learning rates


def part(role: str, mean: float, num_paragraphs: int = 12) -> LossesByParagraph:
    """Return losses of that mean per answer token, half of the paragraphs in each article."""
    tokens = [1 + i % 3 for i in range(num_paragraphs)]
    noise = np.random.default_rng(0).normal(0, 0.01, num_paragraphs)
    spread = noise + [0.05 * (-1) ** i for i in range(num_paragraphs)]
    losses = np.multiply(tokens, mean + spread - np.average(spread, weights=tokens))
    return LossesByParagraph(
        paragraphs=[f"{role}{i}" for i in range(num_paragraphs)],
        articles=[f"{role} {i % 2}" for i in range(num_paragraphs)],
        num_answer_tokens=tokens,
        losses=losses.tolist(),
    )


def losses(gap: float, num_train: int = 12) -> FinalLosses:
    return FinalLosses(eval=part("eval", 1.0 + gap), train=part("train", 1.0, num_train))


def folder(out: Path, num_runs: int) -> Store:
    right = shares_right([0.5] * num_runs)
    runs = [make_run(index) for index in range(num_runs)]
    return write(out, runs, {r.id: predictions(p) for r, p in zip(runs, right, strict=True)})


def of_grid(out: Path) -> Store:
    store = folder(out, 4)
    for index, gap in enumerate(GAPS):
        store.of_run(f"run{index}").write_losses(losses(gap))
    return store


def found_in(store: Store) -> Overfitting:
    return overfitting(store, store.read_results(), "paragraph")


def test_gaps_of_runs_and_of_the_values_of_axes(tmp_path: Path) -> None:
    store = of_grid(tmp_path)
    store.of_base.write_losses(losses(0.0))
    found = found_in(store)
    assert [each.gap for each in found.runs] == pytest.approx(GAPS)
    assert [each.eval_loss - each.train_loss for each in found.runs] == pytest.approx(GAPS)
    levels = {(level.axis, level.value): level.gap for level in found.levels}
    assert levels == pytest.approx(
        {("rank", 2): 0.15, ("rank", 4): 0.55, ("lr", 1e-3): 0.3, ("lr", 2e-3): 0.4}
    )
    for each in [*found.runs, *found.levels]:
        assert each.interval is not None
        assert each.interval[0] < each.gap < each.interval[1]
    assert found.base is not None
    assert found.base.gap == pytest.approx(0.0, abs=1e-12)
    assert (found.num_eval_paragraphs, found.num_train_paragraphs) == (12, 12)
    assert found.notes == []


def test_articles_are_fewer_than_paragraphs_and_intervals_wider(tmp_path: Path) -> None:
    store = of_grid(tmp_path)
    narrow = found_in(store).runs[0].interval
    wide = overfitting(store, store.read_results(), "article").runs[0].interval
    assert narrow
    assert wide
    assert wide[1] - wide[0] > narrow[1] - narrow[0]


def test_runs_without_losses_and_runs_on_other_questions_are_named(tmp_path: Path) -> None:
    store = of_grid(tmp_path)
    (store.run_folder("run0") / "losses.json").unlink()
    store.of_run("run3").write_losses(losses(0.6, num_train=9))
    found = found_in(store)
    assert [each.run for each in found.runs] == ["run1", "run2"]
    (note,) = found.notes
    assert note.startswith("Losses on the same questions are not known for 2 runs: r2 ")


def test_a_folder_from_before_says_how_losses_are_measured(tmp_path: Path) -> None:
    found = found_in(folder(tmp_path, 2))
    assert found.runs == []
    assert "`lorasweep run` measures them" in found.notes[0]


def test_one_run_has_no_axes(tmp_path: Path) -> None:
    store = folder(tmp_path, 1)
    store.of_run("run0").write_losses(losses(0.1))
    found = found_in(store)
    assert len(found.runs) == 1
    assert found.levels == []
    assert found.base is None
