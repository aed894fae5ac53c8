"""Options that extend the grid where its best values lie at the edge."""

from pathlib import Path
from typing import Any

from invented_answers import make_run, predictions, shares_right, write

from lorasweep.analysis.answers import answers_of
from lorasweep.analysis.edges import grid_edges
from lorasweep.folder.findings import Edge
from lorasweep.folder.records import RunRecord
from lorasweep.study.grid import Configuration
from lorasweep.study.study import Study

GRID: dict[str, Any] = {"targets": ["attn"], "rank": [2, 4], "lr": [1e-3, 2e-3], "alpha": ["2r"],
                        "dropout": [0.0], "scaling": ["standard"], "lr_ratio": [1.0],
                        "seed": [0]}  # fmt: skip
FULL = {"method": "full", "targets": None, "rank": None, "lr": [1e-5, 3e-5], "alpha": None,
        "dropout": None, "scaling": None, "lr_ratio": None, "seed": [0]}  # fmt: skip
SHARES = [0.1, 0.3, 0.4, 0.6]


def found_in(
    out: Path,
    runs: list[RunRecord],
    shares: list[float],
    *grid: dict[str, Any],
    waiting: tuple[str, ...] = (),
) -> list[Edge]:
    """The edges of a study whose runs got a share of the questions right, if they were scored."""
    right = shares_right(shares)
    rows = {run.id: predictions(r) for run, r in zip(runs, right, strict=True) if run.metrics}
    store = write(out, runs, rows)
    results = store.read_results()
    ended = {run.id for run in results.runs} - {*waiting}
    found = answers_of(store, results, "greedy")
    return grid_edges(found, results.configurations, list(grid) or [GRID], ended)


def edges(out: Path, *grid: dict[str, Any], shares: list[float] | None = None) -> list[Edge]:
    return found_in(out, [make_run(i) for i in range(4)], shares or SHARES, *grid)


def full_run(index: int) -> RunRecord:
    point = Configuration(
        method="full", targets=None, rank=None, lr=FULL["lr"][index], alpha=None, dropout=None,
        seed=0, scaling=None, lr_ratio=None,
    )  # fmt: skip
    return make_run(index, id=f"full{index}", configuration=point)


def test_the_option_that_extends_an_axis_can_be_pasted(tmp_path: Path) -> None:
    found = edges(tmp_path)
    assert [edge.option for edge in found] == [
        "--set 'grid.rank=[2, 4, 8]'",
        "--set 'grid.lr=[0.001, 0.002, 0.004]'",
    ]
    override = found[1].option.removeprefix("--set '").removesuffix("'")
    file = tmp_path / "study.toml"
    file.write_text(
        'name = "s"\n[model]\nbase = "gpt2"\n[data]\ntrain = "bundled"\n[[grid]]\nrank = 2\n'
    )
    assert Study.load(file, [override]).grid[0].lr == [0.001, 0.002, 0.004]


def test_the_option_names_the_table_that_holds_the_value(tmp_path: Path) -> None:
    found = edges(tmp_path, {**GRID, "rank": [2], "lr": [1e-3]}, {**GRID, "lr": [2e-3, 1e-3]})
    assert "--set 'grid.1.rank=[2, 4, 8]'" in [edge.option for edge in found]


def test_full_fine_tuning_has_an_edge_of_its_own(tmp_path: Path) -> None:
    runs = [*(make_run(i) for i in range(4)), full_run(0), full_run(1)]
    found = found_in(tmp_path, runs, [*SHARES, 0.5, 0.7], FULL, GRID)
    assert [(edge.method, edge.option) for edge in found] == [
        ("lora", "--set 'grid.1.rank=[2, 4, 8]'"),
        ("lora", "--set 'grid.1.lr=[0.001, 0.002, 0.004]'"),
        ("full", "--set 'grid.0.lr=[1e-05, 3e-05, 9e-05]'"),
    ]
    assert found[2].sentence.startswith("Full fine-tuning: the best lr (3e-05)")


def test_a_best_value_inside_the_grid_gives_no_option(tmp_path: Path) -> None:
    assert edges(tmp_path, shares=[0.5, 0.5, 0.5, 0.5]) == []


def test_a_value_that_failed_is_no_better_one_to_go_beyond(tmp_path: Path) -> None:
    """The largest rate was tried and diverged: its neighbour is the best, and inside the grid."""
    runs = [make_run(0), make_run(1), *(make_run(i, state="failed", metrics={}) for i in (2, 3))]
    assert [
        edge.axis for edge in found_in(tmp_path, runs, SHARES, {**GRID, "lr": [5e-4, 1e-3, 2e-3]})
    ] == ["rank"]


def test_one_run_that_a_race_has_left_still_tells_the_edge(tmp_path: Path) -> None:
    runs = [*(make_run(i, state="stopped", metrics={}) for i in range(3)), make_run(3)]
    assert [edge.axis for edge in found_in(tmp_path, runs, SHARES)] == ["rank", "lr"]


def test_while_runs_wait_nothing_is_known(tmp_path: Path) -> None:
    runs = [*(make_run(i) for i in range(3)), make_run(3, metrics={})]
    assert found_in(tmp_path, runs, SHARES, waiting=("run3",)) == []
