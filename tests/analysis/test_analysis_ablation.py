"""Effects over configurations as written."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from invented_answers import make_run, predictions, shares_right, write

from lorasweep.analysis.ablation import ablation
from lorasweep.analysis.answers import Answers, answers_of
from lorasweep.folder.findings import Ablation


def answers(out: Path, shares: list[float]) -> tuple[Answers, list[dict[str, Any]]]:
    runs = [make_run(index) for index in range(len(shares))]
    right = shares_right(shares)
    rows = {run.id: predictions(r) for run, r in zip(runs, right, strict=True)}
    store = write(out, runs, rows)
    results = store.read_results()
    return answers_of(store, results, "greedy"), results.configurations


def taken_apart(out: Path, shares: list[float]) -> Ablation:
    return ablation(*answers(out, shares))


def test_effects_are_distances_from_the_mean(tmp_path: Path) -> None:
    found = taken_apart(tmp_path, [0.1, 0.3, 0.4, 0.6])
    rank, lr = found.axes
    assert [level.effect for level in rank.levels] == pytest.approx([-10, 10])
    assert [level.mean for level in lr.levels] == pytest.approx([20, 50])
    assert [level.value for level in lr.levels] == [1e-3, 2e-3]
    (pair,) = found.interactions
    assert pair.axes == ("rank", "lr")
    assert [cell.interaction for cell in pair.cells] == pytest.approx([0] * 4, abs=1e-9)
    total = [rank.share, lr.share, found.residual, found.evaluation]
    assert sum(share or 0 for share in total) == pytest.approx(1, abs=0.05)


def test_configurations_that_share_a_run_count_each(tmp_path: Path) -> None:
    scored, configurations = answers(tmp_path, [0.1, 0.3])
    written = [{**point, "targets": t} for point in configurations for t in ("attn", "same")]
    found = ablation(scored, [*written, *written])
    targets, rank = found.axes
    assert [level.effect for level in targets.levels] == pytest.approx([0, 0])
    assert targets.num_cells == 2
    assert [level.mean for level in rank.levels] == pytest.approx([10, 30])


def test_runs_that_differ_in_the_ratio_of_rates_alone_are_two_points(tmp_path: Path) -> None:
    scored, configurations = answers(tmp_path, [0.1, 0.3])
    one = {**configurations[0], "lr_ratio": 1.0}
    points = [one, {**one, "run": configurations[1]["run"], "lr_ratio": 16.0}]
    (axis,) = ablation(scored, points).axes
    assert axis.name == "lr_ratio"
    assert [level.mean for level in axis.levels] == pytest.approx([10, 30])


def test_an_axis_without_a_complete_setting_says_so(tmp_path: Path) -> None:
    scored, configurations = answers(tmp_path, [0.1, 0.3, 0.4, 0.6])
    found = ablation(scored, [configurations[0], configurations[3]])
    assert [axis.levels for axis in found.axes] == [[], []]
    assert all(axis.reason for axis in found.axes)


def test_seeds_are_repetitions_and_no_axis(tmp_path: Path) -> None:
    scored, configurations = answers(tmp_path, [0.1, 0.3, 0.4, 0.6, 0.15, 0.35, 0.45, 0.65])
    found = ablation(scored, configurations)
    assert [axis.name for axis in found.axes] == ["rank", "lr"]
    assert [level.mean for level in found.axes[0].levels] == pytest.approx(
        np.array([27.5, 47.5]), abs=1.3
    )
    seeds_only = ablation(scored, [configurations[0], configurations[4]])
    assert seeds_only.notes == ["No axis but the seed takes more than one value."]
