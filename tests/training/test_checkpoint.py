"""Checkpoints: the newest readable one of the same runs, two kept, trouble told and not raised."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lorasweep.training.checkpoint import KEPT, Checkpoint, Checkpoints, Progress


def checkpoint(step: int, identity: str = "runs") -> Checkpoint:
    progress = Progress(
        identity=identity,
        num_steps_done=step,
        seconds=1.5,
        peak_memory_bytes=7,
        histories=[[], []],
        failures=[None, None],
    )
    return Checkpoint(progress, {"values": torch.full((2, 3), float(step))})


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def kept(tmp_path: Path, told: list[str]) -> Checkpoints:
    return Checkpoints(tmp_path / "pack-0", "runs", 5.0, told.append)


def test_the_newest_is_read_back(kept: Checkpoints) -> None:
    for step in (1, 2, 11):
        kept.save(checkpoint(step))
    found = kept.newest()
    assert found is not None
    assert found.progress == checkpoint(11).progress
    assert torch.equal(found.tensors["values"], torch.full((2, 3), 11.0))


def test_two_are_kept(kept: Checkpoints) -> None:
    for step in range(1, 6):
        kept.save(checkpoint(step))
    names = sorted(file.name for file in kept.folder.iterdir())
    assert names == ["step-00000004.safetensors", "step-00000005.safetensors"]
    assert len(names) == KEPT


def test_none_in_a_new_folder(kept: Checkpoints) -> None:
    assert kept.newest() is None


@pytest.mark.parametrize("length", [0, 5, 60, -1])
def test_a_truncated_one_falls_back_to_the_one_before(
    kept: Checkpoints, told: list[str], length: int
) -> None:
    kept.save(checkpoint(1))
    kept.save(checkpoint(2))
    newest = kept.folder / "step-00000002.safetensors"
    newest.write_bytes(newest.read_bytes()[:length])
    found = kept.newest()
    assert found is not None
    assert found.progress.num_steps_done == 1
    assert "step-00000002" in told[0]


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def test_any_bit_that_flipped_falls_back_to_the_one_before(
    kept: Checkpoints, told: list[str]
) -> None:
    """Whether it stands in the header, in what was logged, or in a number."""
    kept.save(checkpoint(1))
    kept.save(checkpoint(2))
    newest = kept.folder / "step-00000002.safetensors"
    whole = newest.read_bytes()
    for place in (*range(0, len(whole), 7), whole.index(b"values") + 1, len(whole) - 1):
        newest.write_bytes(flipped(whole, place))
        found = kept.newest()
        assert found is not None
        assert found.progress.num_steps_done == 1, place
        assert "step-00000002.safetensors: damaged" in told[-1]


def test_one_of_before_that_has_no_sum_is_read(kept: Checkpoints) -> None:
    kept.save(checkpoint(1))
    metadata = {"progress": checkpoint(2).progress.model_dump_json()}
    save_file(checkpoint(2).tensors, kept.folder / "step-00000002.safetensors", metadata)
    found = kept.newest()
    assert found is not None
    assert found.progress.num_steps_done == 2


def test_another_packs_checkpoint_is_never_read(kept: Checkpoints) -> None:
    kept.save(checkpoint(3, identity="other runs"))
    assert kept.newest() is None


def test_a_folder_that_cannot_be_written_is_told(kept: Checkpoints, told: list[str]) -> None:
    kept.save(checkpoint(1))
    # A file where the folder should be fails for root too, unlike a mode.
    blocked = Checkpoints(kept.folder / "step-00000001.safetensors", "runs", 5.0, told.append)
    blocked.save(checkpoint(2))
    assert "training goes on" in told[0]
    assert kept.newest() is not None


def test_a_full_disk_leaves_the_one_before(
    kept: Checkpoints, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.save(checkpoint(1))

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lorasweep.training.checkpoint.save_file", full)
    kept.save(checkpoint(2))
    assert "No space left" in told[0]
    assert [file.name for file in kept.folder.iterdir()] == ["step-00000001.safetensors"]


@pytest.mark.parametrize(("minutes", "due"), [(0.0, True), (60.0, False)])
def test_one_is_due_after_the_interval(tmp_path: Path, minutes: float, due: bool) -> None:
    assert Checkpoints(tmp_path, "runs", minutes, print).due() is due
