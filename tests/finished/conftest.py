"""Finished tiny studies whose adapters were trained hard enough to answer in their own way."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tiny
from lorasweep import Results, Study, run
from lorasweep.folder.store import Store

GRID = 'rank = [2, 4]\nlr = [1e-3, 3e-3]\nalpha = "2r"\n'
OF_ARCHITECTURE = {
    "gpt2": 'targets = ["attn", "queries_and_values"]\nrank = [4]\nlr = [0.05]\n'
    '[targets]\nqueries_and_values = ["attn.c_attn:q", "attn.c_attn:v"]\n',
    "llama": 'targets = ["all-linear"]\nrank = [4]\nlr = [0.05]\n',
}


@pytest.fixture(scope="session")
def finished_study(
    tmp_path_factory: pytest.TempPathFactory, make_model: Callable[..., Any], tokenizer: Any
) -> Callable[[str], Path]:
    """Return the folder of a finished study of an architecture; tests only read it."""
    made: dict[str, Path] = {}

    def of(architecture: str) -> Path:
        if architecture not in made:
            folder = tmp_path_factory.mktemp(architecture)
            file = tiny.write_study(folder, make_model(architecture), tokenizer)
            text = file.read_text().replace(GRID, OF_ARCHITECTURE[architecture])
            file.write_text(text.replace("max_new_tokens = 3", "max_new_tokens = 6"))
            run(Study.load(file), folder / "out")
            made[architecture] = folder / "out"
        return made[architecture]

    return of


@pytest.fixture(scope="session")
def gpt2_study(finished_study: Callable[[str], Path]) -> Path:
    """The folder of a finished study of GPT-2; tests only read it."""
    return finished_study("gpt2")


@pytest.fixture
def copied_study(gpt2_study: Path, tmp_path: Path) -> Path:
    """A finished folder that a test may change."""
    return Path(shutil.copytree(gpt2_study, tmp_path / "out"))


@pytest.fixture(scope="session")
def results(gpt2_study: Path) -> Results:
    return Store(gpt2_study).read_results()
