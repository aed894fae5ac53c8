"""Damaged files of a finished folder: one message that names the file and says what to do."""

from collections.abc import Callable
from pathlib import Path

import pytest
from folders import results_of

from calling import Ended, call
from lorasweep.folder.store import Store
from lorasweep.report.charts import drawing
from lorasweep.running.driver import run
from lorasweep.study.study import Study

pytestmark = pytest.mark.usefixtures("no_report", "no_pictures")

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[: len(content) // 2],
    "flipped": lambda content: content[:40] + bytes([content[40] ^ 0x81]) + content[41:],
    "no UTF-8": lambda content: content[:5] + b"\xff" + content[6:],
}
OF_RUNS = ("record.json", "history.jsonl", "losses.json", "predictions/greedy.parquet",
           "adapter/adapter_model.safetensors", "adapter/adapter_config.json")  # fmt: skip
FILES = ("study.lock.json", "results.json", "base/record.json", "base/losses.json",
         "base/predictions/greedy.parquet", *(f"runs/RUN/{name}" for name in OF_RUNS))  # fmt: skip


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports are written more than a hundred times, and drawing takes most of that."""
    monkeypatch.setattr(drawing, "svg", lambda spec, say: "<svg/>")
    monkeypatch.setattr(drawing, "png", lambda picture: b"")


@pytest.mark.parametrize("is_of_before", [False, True], ids=["with sums", "of before"])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named_with_what_to_do(
    out: Path, file: Path, name: str, is_of_before: bool
) -> None:
    store, results = Store(out), results_of(out)
    best = results.chosen or ""
    if is_of_before:
        for each in results.runs:
            store.write_run(each.model_copy(update={"files": {}}))
        store.write_base(results.base.model_copy(update={"files": {}}))
    place = out / name.replace("RUN", best)
    whole = place.read_bytes()
    for damage in DAMAGES.values():
        place.write_bytes(damage(whole))
        for words in (("report", out), ("status", out), ("analyse", out),
                      ("failures", out, "--run", best), ("check", out)):  # fmt: skip
            assert_named(call(*words), place)
    if is_of_before:
        # What scoring makes is made again; the rest is said.
        assert_named(call("run", file, "--out", out, "--quiet"), place)


def assert_named(ended: Ended, place: Path) -> None:
    """Check for a good end, or one message that names the file and a way out."""
    assert ended.code in (0, 2)
    if ended.code == 2 and ended.err:
        assert ended.err.startswith("error: ")
        assert ended.err.count("\n") == 1
        assert str(place) in ended.err
        assert "lorasweep run STUDY" in ended.err


def test_a_lock_that_is_gone_is_written_again(out: Path, study: Study) -> None:
    store, before = Store(out), results_of(out)
    lock = store.read_lock()
    store.lock_file.unlink()
    again = run(study, out)
    assert (again.runs, again.analysis) == (before.runs, before.analysis)
    assert store.read_lock() == lock
