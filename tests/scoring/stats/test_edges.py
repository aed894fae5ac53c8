"""The edge of a grid, where a value failed, and where no setting was run with all values."""

import numpy as np
import pytest

from lorasweep.scoring.stats.edges import edge_warning, level_means


@pytest.mark.parametrize(
    ("axis", "means", "suggestion"),
    [
        ("rank", {2: 1, 4: 2, 8: 3}, 16),
        ("rank", {4: 3, 8: 2, 16: 1}, 2),
        ("rank", {1: 3, 2: 2, 4: 1}, None),
        ("rank", {2: 1, 4: 3, 8: 2}, None),
        ("rank", {2: 1, 4: 3, 8: 3}, None),
        ("rank", {4: 1, 8: 2}, 16),
        ("lr", {1e-4: 1, 3e-4: 2, 1e-3: 3}, 3.3e-3),
        ("lr", {1e-4: 3, 1e-3: 2, 1e-2: 1}, 1e-5),
        ("dropout", {0.0: 1, 0.1: 2, 0.2: 3}, 0.3),
        ("dropout", {0.0: 3, 0.1: 2}, None),
        ("rank", {10: 1, 20: 2, 30: 3}, 40),
    ],
)
def test_the_best_of_the_values_tried(
    axis: str, means: dict[float, float], suggestion: float | None
) -> None:
    warning = edge_warning(axis, list(means), means)
    assert (warning and warning.suggestion) == (suggestion and pytest.approx(suggestion))
    if warning:
        assert str(warning).startswith(f"the best {axis} (")
        assert isinstance(suggestion, int) == isinstance(warning.suggestion, int)


@pytest.mark.parametrize(
    ("means", "edge"),
    [
        # The largest failed: the best lies inside what was tried.
        ({2: 1, 4: 2}, None),
        # Only the largest was not stopped.
        ({8: 2}, 8),
        ({2: 2, 8: 1}, 2),
        ({4: 1}, None),
    ],
)
def test_a_value_without_a_score_is_the_worst(means: dict[float, float], edge: int | None) -> None:
    warning = edge_warning("rank", [4, 2, 8], means)
    assert (warning and warning.value) == edge


def test_one_value_has_no_edge() -> None:
    assert edge_warning("rank", [4, 4], {4: 1.0}) is None


def test_means_are_marginal_where_a_setting_is_complete() -> None:
    points = [{"rank": 2, "lr": 1}, {"rank": 4, "lr": 1}, {"rank": 4, "lr": 2}]
    # Rank 4 gains nothing from the better rate, which rank 2 was not run with.
    assert level_means(points, "rank", np.array([5.0, 4.0, 9.0])) == {2: 5.0, 4: 4.0}


def test_means_are_the_best_runs_where_no_setting_is_complete() -> None:
    points = [{"rank": 2, "lr": 1}, {"rank": 2, "lr": 3}, {"rank": 4, "lr": 2}]
    assert level_means(points, "rank", np.array([5.0, 6.0, 3.0])) == {2: 6.0, 4: 3.0}
