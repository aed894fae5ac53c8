import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from lorasweep.errors import UserError
from lorasweep.folder.records import Lock
from lorasweep.folder.store import Store
from lorasweep.hub.architectures import linear_modules
from lorasweep.hub.models import read_config
from lorasweep.model.machine import Precision, versions
from lorasweep.running import locking
from lorasweep.running.locking import (
    AUTO_MICRO_TOKENS,
    agree,
    changes_since,
    planned_ids,
    unfinished,
)
from lorasweep.running.prepare import Prepared, prepare


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "out")


def run_ids_of(lock: Lock) -> list[list[str]]:
    return [[run.id for run in pack.runs] for pack in lock.packs]


def with_facts(prepared: Prepared, **facts: Any) -> Prepared:
    return replace(prepared, facts={**prepared.facts, **facts})


@pytest.mark.parametrize(
    ("base", "precision", "gigabytes", "tokens"),
    [
        ("gpt2", "fp16", 16, 21_629),
        ("gpt2", "fp32", 16, 10_706),
        ("gpt2", "bf16", 80, 65_536),
        ("smollm2-135m", "bf16", 80, 52_628),
    ],
)
def test_a_small_card_and_a_large_model_compute_fewer_tokens_at_a_time(
    base: str, precision: Precision, gigabytes: int, tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = [(m.in_features, m.out_features) for m in linear_modules(read_config(base))]
    monkeypatch.setattr(locking, "device_memory_bytes", lambda *_: gigabytes * 2**30)
    assert locking.auto_micro_tokens("cuda", precision, shapes) == tokens
    assert locking.auto_micro_tokens("cpu", precision, shapes) == AUTO_MICRO_TOKENS["cpu"]


def test_weights_that_fill_a_card_leave_a_token_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locking, "device_memory_bytes", lambda *_: 2**30)
    assert locking.auto_micro_tokens("cuda", "bf16", [(32_768, 32_768)]) == 1


def test_a_new_folder_gets_what_is_decided_now(store: Store, prepared: Prepared) -> None:
    lock = agree(store, prepared)
    assert lock.precision == "fp32"
    assert lock.threads == torch.get_num_threads()
    assert lock.micro_tokens == AUTO_MICRO_TOKENS[lock.device]
    assert [pack.id for pack in lock.packs] == ["pack-0", "pack-1"]
    assert not store.out.exists()
    assert {i for ids in run_ids_of(lock) for i in ids} == set(planned_ids(prepared, "fp32"))
    assert lock.wanted == planned_ids(prepared, "fp32")
    assert lock.operations
    assert changes_since(lock) == []


def test_a_given_micro_batch_is_locked(store: Store, file: Path) -> None:
    assert agree(store, prepare(tiny.load(file, "recipe.micro_batch=300"))).micro_tokens == 300


def test_what_was_decided_stays(store: Store, file: Path, prepared: Prepared) -> None:
    lock = agree(store, prepared)
    lock = lock.model_copy(update={"threads": 7, "micro_tokens": 99, "versions": {"torch": "1"}})
    store.write_lock(lock)
    assert agree(store, prepared) == lock
    (change,) = changes_since(lock)
    assert f"begun with torch 1, now {versions()['torch']}: " in change
    other = agree(store, prepare(tiny.load(file, "pack.lanes=1", "recipe.micro_batch=64")))
    assert other.micro_tokens == 64, "another cut changes memory and speed, not what is learnt"
    assert other.model_copy(update={"study": lock.study, "micro_tokens": 99}) == lock
    assert other.study["pack"]["lanes"] == 1


def test_new_runs_join_in_packs_of_their_own(store: Store, file: Path, prepared: Prepared) -> None:
    before = agree(store, prepared)
    store.write_lock(before)
    wider = prepare(tiny.load(file, "grid.rank=[2, 3, 4]"))
    after = agree(store, wider)
    assert after.packs[:2] == before.packs
    assert [(pack.id, len(pack.runs)) for pack in after.packs[2:]] == [("pack-2", 2)]
    assert {run.configuration.rank for run in after.packs[2].runs} == {3}
    store.write_lock(after)
    assert agree(store, prepared).packs == after.packs


def test_seeds_never_share_a_pack(store: Store, file: Path) -> None:
    lock = agree(store, prepare(tiny.load(file, "grid.seed=[0, 1]", "pack.lanes=8")))
    seeds = [{run.configuration.seed for run in pack.runs} for pack in lock.packs]
    assert seeds == [{0}, {1}]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("name=another", "name: 'tiny', now 'another'"),
        ("recipe.epochs=2", "recipe.epochs: 1, now 2"),
        ('data.prompt="{context} {question} Answer:"', "data.prompt: "),
        ("data.seed=3", "data.train (the questions): "),
        ("data.max_tokens=500", "data.max_tokens: 512, now 500"),
        ("evaluate.max_new_tokens=2", "evaluate.max_new_tokens: 3, now 2"),
        ('model.precision="bf16"', "model.precision: 'fp32', now 'bf16'"),
    ],
)
def test_another_studys_folder_is_refused_and_left_untouched(
    store: Store, file: Path, prepared: Prepared, override: str, said: str
) -> None:
    store.write_lock(agree(store, prepared))
    before = (store.lock_file.read_bytes(), os.stat(store.lock_file).st_mtime_ns)
    with pytest.raises(UserError) as caught:
        agree(store, prepare(tiny.load(file, override)))
    assert str(caught.value).startswith(f"{store.out} was made with another {said}")
    assert "choose another folder with --out" in str(caught.value)
    assert (store.lock_file.read_bytes(), os.stat(store.lock_file).st_mtime_ns) == before


def test_another_models_files_are_refused(store: Store, prepared: Prepared) -> None:
    store.write_lock(agree(store, prepared))
    other = with_facts(prepared, **{"model.base (its files)": "0" * 64})
    with pytest.raises(UserError, match=r"made with another model.base \(its files\)"):
        agree(store, other)


def test_automatic_precision_takes_the_folders(store: Store, file: Path) -> None:
    store.write_lock(agree(store, prepare(tiny.load(file, 'model.precision="bf16"'))))
    assert agree(store, prepare(tiny.load(file, 'model.precision="auto"'))).precision == "bf16"


def test_only_packs_that_lack_a_wanted_record_are_unfinished(store: Store) -> None:
    packs = tiny.make_lock("a", "b", "c").packs
    store.write_run(tiny.make_record("a", 1.0))
    assert [p.id for p in unfinished(packs, store, {"a", "b"})] == ["pack-1"]
    store.write_run(tiny.make_record("b", None, state="failed"))
    assert unfinished(packs, store, {"a", "b"}) == []


def test_a_folder_begun_on_another_device_says_where_to_go_on(
    store: Store, prepared: Prepared
) -> None:
    lock = agree(store, prepared)
    store.write_lock(lock.model_copy(update={"device": "cuda" if lock.device == "cpu" else "cpu"}))
    with pytest.raises(UserError, match=r"was begun on .*go on where it was begun, or choose"):
        agree(store, prepared)
