"""A/A comparisons of real answers: two draws of one decoder differ in nothing but by chance.

real_draws.json holds scores alone, by paragraph, question and draw: docs/calibration.md says of
which study, and how it was written.
"""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "calibration.py"
SCORES = json.loads(Path(__file__).with_name("real_draws.json").read_text())
HALVES, NOMINAL = 2000, 0.05


@pytest.fixture(scope="module")
def calibration() -> ModuleType:
    spec = importlib.util.spec_from_file_location("calibration", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["EM", "F1"])
def test_equal_systems_are_told_apart_at_most_at_the_nominal_rate(
    calibration: ModuleType, metric: str
) -> None:
    paragraphs = [np.array(scores) for scores in SCORES[metric]]
    by_test, _ = calibration.false_alarms(paragraphs, HALVES, np.random.default_rng(1))
    # Three standard errors of a share of 2,000.
    assert by_test <= NOMINAL + 3 * (NOMINAL * (1 - NOMINAL) / HALVES) ** 0.5
