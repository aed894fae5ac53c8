"""The progress of many packs as one job."""

import pytest

import tiny
from lorasweep.console.progress import Silent
from lorasweep.running.executors.overview import Overview
from lorasweep.running.executors.remote import Told


class Heard(Silent):
    """Keeps how far the one job is, the last detail and all notes."""

    def __init__(self) -> None:
        self.title, self.total, self.done, self.skipped = "", 0, 0, 0
        self.detail, self.notes = "", list[str]()

    def note(self, text: str) -> None:
        self.notes.append(text)

    def start(self, job: str, total: int) -> None:
        self.title, self.total = job, total

    def skip(self, amount: int) -> None:
        self.done += amount
        self.skipped += amount

    def advance(self, amount: int, detail: str = "") -> None:
        self.done += amount
        self.detail = detail


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def overview(heard: Heard) -> Overview:
    """Two packs of one run, 20 questions each, both under way."""
    packs = tiny.make_lock("a", "b").packs
    made = Overview(heard, 20, packs)
    for pack in packs:
        made.begin(pack)
    return made


def step(overview: Overview, pack_id: str, amount: int, detail: str = "") -> None:
    overview.told(pack_id, Told("advance", (amount, detail)))


def test_all_packs_are_one_job_with_each_running_pack_in_its_detail(
    overview: Overview, heard: Heard
) -> None:
    step(overview, "pack-0", 5, "loss 2.000 to 3.000")
    step(overview, "pack-1", 3)
    assert (heard.title, heard.total, heard.done) == ("2 packs, 2 runs", 40, 8)
    assert heard.detail == "pack-0 25 % loss 2.000 to 3.000; pack-1 15 %"


def test_a_pack_that_ends_counts_whole(overview: Overview, heard: Heard) -> None:
    step(overview, "pack-0", 5)
    step(overview, "pack-1", 4)
    overview.end("pack-0")
    assert (heard.done, heard.detail) == (24, "pack-1 20 %")


def test_what_an_earlier_call_did_is_skipped(overview: Overview, heard: Heard) -> None:
    overview.told("pack-0", Told("skip", (7,)))
    assert (heard.done, heard.skipped) == (7, 7)


def test_a_lost_pack_goes_back_and_is_counted_from_where_it_goes_on(
    overview: Overview, heard: Heard
) -> None:
    step(overview, "pack-0", 9)
    overview.lost("pack-0")
    assert heard.done == 0
    overview.begin(tiny.make_lock("a").packs[0])
    overview.told("pack-0", Told("skip", (6,)))
    assert (heard.done, heard.skipped) == (6, 0)


def test_a_workers_note_names_its_pack(overview: Overview, heard: Heard) -> None:
    overview.told("pack-1", Told("note", ("warning: disk full",)))
    overview.told("pack-1", Told("start", ("pack-1: train", 10)))
    assert heard.notes == ["pack-1: warning: disk full"]
