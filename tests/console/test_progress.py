import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from lorasweep.console import progress
from lorasweep.console.bar_line import BarLine
from lorasweep.console.progress import (
    Bars,
    PlainLines,
    Reporter,
    Silent,
    labels_line,
    notebook_reporter,
)


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def a_job(reporter: Reporter) -> None:
    reporter.note("r4 [attn] is noted")
    reporter.start("pack-0: train", 10)
    reporter.advance(4, "loss 2.000 to 3.000")
    reporter.advance(6)
    reporter.finish()


def test_plain_lines_say_when_a_job_begins_and_ends(clock: Clock) -> None:
    console = Console(file=io.StringIO(), width=20)
    a_job(PlainLines(console))
    assert text_of(console).splitlines() == [
        "r4 [attn] is noted", "pack-0: train: 0/10", "pack-0: train: done in 0.0 s",
    ]  # fmt: skip


def test_plain_lines_speak_every_ten_seconds_with_the_time_left(clock: Clock) -> None:
    console = Console(file=io.StringIO())
    reporter = PlainLines(console)
    reporter.start("job", 10)
    for now, amount in ((9.0, 1), (12.0, 1), (15.0, 1), (22.0, 1)):
        clock.now = now
        reporter.advance(amount, "loss 1.000")
    clock.now = 40.0
    reporter.advance(6)
    reporter.finish()
    assert text_of(console).splitlines() == [
        "job: 0/10",
        "job: 2/10  loss 1.000  0.17 questions/s  48 s left",
        "job: 4/10  loss 1.000  0.18 questions/s  33 s left",
        "job: done in 40.0 s",
    ]


def test_plain_lines_know_no_time_left_before_the_first_step(clock: Clock) -> None:
    console = Console(file=io.StringIO())
    reporter = PlainLines(console)
    reporter.start("job", 10)
    clock.now = 60.0
    reporter.advance(0)
    assert text_of(console).splitlines() == ["job: 0/10", "job: 0/10"]


def test_what_an_earlier_call_did_tells_nothing_of_speed(clock: Clock) -> None:
    console = Console(file=io.StringIO())
    reporter = PlainLines(console)
    reporter.start("job", 100)
    reporter.skip(90)
    clock.now = 20.0
    reporter.advance(2, "loss 1.000")
    assert text_of(console).splitlines() == [
        "job: 0/100",
        "job: goes on at 90/100",
        "job: 92/100  loss 1.000  0.1 questions/s  80 s left",
    ]


def test_bars_show_each_job_and_keep_notes() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with Bars(console) as bars:
        a_job(bars)
        bars.advance(1)  # a step behind the end of a job changes nothing
    text = text_of(console)
    assert "r4 [attn] is noted" in text
    assert "pack-0: train" in text
    assert "pack-0: train: done in" in text


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    a_job(Silent())
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("is_jupyter", "has_widgets", "kind"),
    [(False, True, Silent), (True, True, Bars), (True, False, PlainLines)],
)
def test_calls_from_python_say_nothing_outside_of_a_notebook(
    is_jupyter: bool, has_widgets: bool, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    def console(force_jupyter: bool | None = None) -> Console:
        made = Console(file=io.StringIO(), force_jupyter=False)
        made.is_jupyter = is_jupyter
        return made

    monkeypatch.setattr(progress, "Console", console)
    monkeypatch.setattr(progress, "find_spec", lambda name: "ipywidgets" if has_widgets else None)
    monkeypatch.setattr(Bars, "__enter__", lambda bars: bars)
    with notebook_reporter() as reporter:
        assert type(reporter) is kind


def test_long_packs_are_named_by_their_first_runs() -> None:
    assert labels_line(["a", "b"]) == "a, b"
    assert labels_line(list("abcdef")) == "a, b, c, d and 2 more"


@pytest.mark.parametrize("width", [40, 60, 80, 110, 160])
@pytest.mark.parametrize(
    "job",
    ["pack 12 of 13: train 25 runs", "imported a-name-that-is-too-long for a line: answer"],
)
def test_a_line_keeps_bar_share_and_time_at_any_width(width: int, job: str) -> None:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system="standard")
    console.print(BarLine(job, 30, 72, "12 min left", ("loss 10.493 to 10.522", "30/72")))
    (line,) = text_of(console).splitlines()
    line = re.sub(r"\x1b\[[\d;]*m", "", line).rstrip()
    assert cell_len(line) < width
    assert line.count("━") + line.count("╸") + line.count("╺") >= 10
    assert " 41 % 12 min left" in line
    assert line.startswith(job[:5])
    assert ("loss 10.493 to 10.522" in line) == (width >= 110 or (width == 80 and len(job) < 30))


def test_a_label_is_no_markup() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with Bars(console) as bars:
        bars.start("q[/] r2 [bold]x: train", 4)
        bars.advance(1, "[/]")
    assert "q[/] r2 [bold]x: train" in text_of(console)


def test_long_times_are_said_as_people_say_them(clock: Clock) -> None:
    console = Console(file=io.StringIO())
    reporter = PlainLines(console)
    reporter.start("job", 100)
    clock.now = 1000.0
    reporter.advance(10)
    clock.now = 10_000.0
    reporter.finish()
    assert text_of(console).splitlines()[1:] == [
        "job: 10/100  0.01 questions/s  2 h 30 min left",
        "job: done in 2 h 47 min",
    ]
