"""`lorasweep check`: every file of a folder is sound, missing, damaged or unverified."""

import json
from pathlib import Path

import pytest

from calling import assert_refused, call
from lorasweep.finished.checking import Checked, check, is_whole
from lorasweep.folder.store import Store


def states(out: Path) -> dict[str, str]:
    return {each.file: each.state for each in check(out)}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)


def test_a_finished_folder_is_sound(gpt2_study: Path) -> None:
    found = check(gpt2_study)
    assert {each.state for each in found} == {"sound"}
    below = {f.relative_to(gpt2_study).as_posix() for f in gpt2_study.rglob("*") if f.is_file()}
    kept = {name for name in below if not name.startswith(("report/", "exports/"))}
    assert {each.file for each in found} == kept
    assert call("check", gpt2_study).code == 0


@pytest.mark.parametrize(
    "name", ["adapter/adapter_model.safetensors", "history.jsonl", "losses.json",
             "predictions/greedy.parquet", "predictions/greedy.json"],
)  # fmt: skip
def test_one_bit_is_seen_and_a_file_that_is_gone(copied_study: Path, name: str) -> None:
    run = Store(copied_study).read_results().runs[0].id
    place = copied_study / "runs" / run / name
    flip(place)
    file = f"runs/{run}/{name}"
    assert states(copied_study)[file] == "damaged"
    ended = call("check", copied_study, "--json")
    assert ended.code == 2
    (found,) = [each for each in json.loads(ended.out) if each["state"] != "sound"]
    assert found["file"] == file
    assert str(copied_study) in found["remedy"]
    place.unlink()
    assert states(copied_study)[file] == "missing"


def test_files_of_a_record_of_before_are_unverified(copied_study: Path) -> None:
    store = Store(copied_study)
    run = store.read_results().runs[0]
    store.write_run(run.model_copy(update={"files": {}}))
    found = states(copied_study)
    assert {found[name] for name in found if name.startswith(f"runs/{run.id}/a")} == {"unverified"}
    assert is_whole(check(copied_study))
    assert call("check", copied_study).code == 0


def test_records_that_cannot_be_read_are_damaged(copied_study: Path) -> None:
    run = Store(copied_study).read_results().runs[0].id
    for name in ("results.json", "base/record.json", f"runs/{run}/record.json"):
        (copied_study / name).write_text("{")
        assert states(copied_study)[name] == "damaged"
    assert "damaged    results.json: `lorasweep run" in call("check", copied_study).out


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    assert_refused(call("check", tmp_path), "no study in")
    assert not is_whole([Checked("x", "missing")])
