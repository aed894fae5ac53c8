"""The shipped quickstart on the real model, as a new user runs it: minutes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

LEAST_GAIN = 15.0  # points of F1 that the best run gains on the untuned model


def lorasweep(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line as a program of its own."""
    return subprocess.run(
        [sys.executable, "-m", "lorasweep", *arguments], capture_output=True, text=True, cwd=folder
    )


@pytest.fixture(scope="module")
def pulled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The base model on this machine; downloaded where it is not yet."""
    ended = lorasweep("models", "pull", "smollm2-135m", folder=tmp_path_factory.mktemp("pull"))
    if ended.returncode:
        pytest.skip(f"smollm2-135m cannot be had: {ended.stderr.strip()}")


@pytest.mark.slow
@pytest.mark.usefixtures("pulled")
def test_the_quickstart_trains_adapters_that_answer_better(tmp_path: Path) -> None:
    ended = lorasweep("run", "quickstart", folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    out = tmp_path / "out" / "quickstart"
    results = json.loads((out / "results.json").read_text())
    base = results["base"]["metrics"]["greedy"]
    scores = [run["metrics"]["greedy"] for run in results["runs"] if run["state"] == "done"]
    assert len(scores) >= 4
    assert max(one["f1"] for one in scores) >= base["f1"] + LEAST_GAIN
    assert all(one["num_questions"] == base["num_questions"] >= 60 for one in scores)
    assert all(run["label"] in ended.stdout for run in results["runs"])
    assert (out / "report" / "index.html").stat().st_size > 10_000
    again = lorasweep("run", "quickstart", "--quiet", folder=tmp_path)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert json.loads((out / "results.json").read_text()) == results
