"""Packs cut for the workers of a cluster."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from lorasweep.folder.records import LockedPack
from lorasweep.running.executors.sizing import BYTES_PER_NUMBER, SHARE_OF_LANES, fits, pick, sized
from lorasweep.study.plan import Pack, PlannedRun

NUMBERS = 1000
PLENTY = 10**12


def memory_for(lanes: int) -> int:
    """Return a memory that holds the training state of just so many lanes."""
    return int(lanes * NUMBERS * BYTES_PER_NUMBER / SHARE_OF_LANES)


def planned(name: str) -> PlannedRun:
    return PlannedRun(tiny.CONFIGURATION, (name,), NUMBERS, 2.0, name)


def packs_of(*sizes: int, first: int = 0) -> list[Pack]:
    return [
        Pack(f"pack-{i}", tuple(planned(f"{i}.{k}") for k in range(size)))
        for i, size in enumerate(sizes, first)
    ]


def lanes(packs: list[Pack]) -> list[int]:
    return [len(pack.runs) for pack in packs]


@pytest.mark.parametrize(
    ("sizes", "num_workers", "cut"),
    [
        ((8,), 1, [8]),
        ((8,), 2, [4, 4]),
        ((5,), 2, [3, 2]),
        ((3,), 8, [1, 1, 1]),
        ((8, 8, 8), 2, [8, 8, 8]),
        ((8, 1), 3, [3, 3, 2, 1]),
    ],
)
def test_every_worker_has_lanes_and_no_pack_is_cut_for_nothing(
    sizes: tuple[int, ...], num_workers: int, cut: list[int]
) -> None:
    assert lanes(sized(packs_of(*sizes), [PLENTY] * num_workers)) == cut


def test_a_pack_has_as_many_lanes_as_its_workers_memory_holds() -> None:
    assert lanes(sized(packs_of(8), [memory_for(3), memory_for(1)])) == [3, 1, 3, 1]


def test_one_lane_is_a_pack_however_small_the_memory() -> None:
    assert lanes(sized(packs_of(2), [1])) == [1, 1]


def test_new_packs_go_on_counting() -> None:
    assert [pack.id for pack in sized(packs_of(4, first=3), [PLENTY] * 2)] == ["pack-3", "pack-4"]


@settings(max_examples=50)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    held=st.lists(st.integers(1, 9), min_size=1, max_size=4),
)
def test_no_run_is_lost_or_moved(sizes: list[int], held: list[int]) -> None:
    packs = packs_of(*sizes)
    cut = sized(packs, [memory_for(lanes) for lanes in held])
    assert [run for pack in cut for run in pack.runs] == [run for p in packs for run in p.runs]
    assert all(fits(pack.runs, memory_for(max(held))) for pack in cut)


def locked(name: str, num_lanes: int) -> LockedPack:
    (run,) = tiny.make_lock("run").packs[0].runs
    return LockedPack(
        id=name, runs=[run.model_copy(update={"trainable_parameters": NUMBERS})] * num_lanes
    )


def test_a_worker_takes_the_first_pack_that_fits_and_the_largest_takes_any() -> None:
    large, small = memory_for(3), memory_for(1)
    waiting = [locked("three", 3), locked("one", 1), locked("nine", 9)]
    assert pick(waiting, large, large) is waiting[0]
    assert pick(waiting, small, large) is waiting[1]
    assert pick([waiting[2]], small, large) is None
    assert pick([waiting[2]], large, large) is waiting[2]
    assert pick([], large, large) is None
