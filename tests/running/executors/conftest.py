"""A study of adapters and a full fine-tuning, and its folder as this process alone makes it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from clusters import LocalCluster

import tiny
from lorasweep import Study, run
from lorasweep.running.executors.executor import Executor

LORA = '{rank = [2, 4], lr = [1e-3, 3e-3], alpha = "2r", dropout = 0.1}'
FULL = '{method = "full", lr = 1e-3}'
CHANGES = (f"grid=[{LORA}, {FULL}]", "pack.checkpoint_minutes=0", "recipe.epochs=2")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """The study's threads, and so the processors that Ray gives to a worker.

    Given back after each module: the order of sums, and so other tests' bits, depend on them.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", autouse=True)
def no_reports_here(no_reports: None) -> None:
    """Nothing here looks at a report."""


@pytest.fixture(scope="session")
def file(
    tmp_path_factory: pytest.TempPathFactory, make_model: Callable[..., Any], tokenizer: Any
) -> Path:
    return tiny.write_study(tmp_path_factory.mktemp("study"), make_model("gpt2"), tokenizer)


@pytest.fixture(scope="session")
def study(file: Path) -> Study:
    return tiny.load(file, *CHANGES)


@pytest.fixture(scope="module")
def undisturbed(study: Study, one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the study after an undisturbed run in this process; tests only read it."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    run(study, out)
    return out


@pytest.fixture
def locked(undisturbed: Path, tmp_path: Path) -> Path:
    """A folder that holds the same decisions and nothing else."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "study.lock.json").write_bytes((undisturbed / "study.lock.json").read_bytes())
    return out


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """Start the nodes once."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    started = LocalCluster()
    yield started
    started.cluster.shutdown()


@pytest.fixture
def on_ray(cluster: LocalCluster) -> Iterator[Executor]:
    """An executor on both nodes."""
    from lorasweep.running.executors.ray import connected

    with connected(cluster.address) as executor:
        yield executor
