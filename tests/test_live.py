"""Progress on disk while a study is at work."""

from pathlib import Path

import pytest

from lorasweep import live
from lorasweep.live import published
from lorasweep.progress import Silent
from lorasweep.store import Store


def test_another_process_can_read_how_far_a_study_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, now = Store(tmp_path), [1000.0]
    monkeypatch.setattr(live.time, "time", lambda: now[0])
    with published(Silent(), store) as told:
        assert store.read_progress() is None
        told.start("pack-0: train", 20)
        told.advance(4, "loss 2")
        first = store.read_progress()
        assert first is not None
        assert (first.job, first.done, first.total) == ("pack-0: train", 0, 20)
        now[0] += 1.5
        told.advance(8, "loss 1")
        second = store.read_progress()
        assert second is not None
        assert (second.done, second.detail, second.time) == (12, "loss 1", 1001.5)
    assert list(tmp_path.iterdir()) == []


def test_nothing_stays_after_an_error(tmp_path: Path) -> None:
    def interrupted() -> None:
        with published(Silent(), Store(tmp_path)) as told:
            told.start("pack-0: train", 20)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
