"""Whoever the umask lets may read what is written, weights too."""

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from calling import call
from lorasweep import Results
from lorasweep.folder.files import replaced_file, write_weights

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
TENSORS = {"w": torch.ones(2)}


@pytest.fixture(params=[0o022, 0o002, 0o077])
def mode(request: pytest.FixtureRequest) -> Iterator[int]:
    """The mode that new files have under a umask."""
    before = os.umask(request.param)
    yield 0o666 & ~request.param
    os.umask(before)


def mode_of(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_weights_have_the_mode_that_other_files_have(tmp_path: Path, mode: int) -> None:
    write_weights(tmp_path / "adapter", lambda aside: save_file(TENSORS, aside / "w.safetensors"))
    assert mode_of(tmp_path / "adapter" / "w.safetensors") == mode
    with replaced_file(tmp_path / "step.safetensors") as aside:
        save_file(TENSORS, aside)
    assert mode_of(tmp_path / "step.safetensors") == mode


@pytest.mark.usefixtures("mode")
def test_a_file_that_is_not_written_after_all_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(KeyError), replaced_file(tmp_path / "x"):
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_what_is_exported_has_it_too(
    copied_study: Path, results: Results, tmp_path: Path, mode: int
) -> None:
    run = results.runs[0].id
    for words in ([], ["--merged"]):
        place = tmp_path / f"exported{len(words)}"
        assert call("export", copied_study, "--run", run, "--out", place, *words).code == 0
        assert {mode_of(file) for file in place.iterdir()} == {mode}
