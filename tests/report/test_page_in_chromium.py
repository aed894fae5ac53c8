"""The page as people use it, in headless Chromium: Debian's package, driven by Playwright."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from invented import (
    HOSTILE,
    RIGHT_TO_LEFT,
    make_results,
    make_run,
    write_history,
    write_predictions,
    write_results,
)

from lorasweep.data.examples import Group, fingerprint_of
from lorasweep.data.selection import select
from lorasweep.folder.records import Lock, Prediction
from lorasweep.folder.store import Store
from lorasweep.report.page import write_report
from lorasweep.scoring.metrics import exact_match, f1
from lorasweep.study.study import Study

NUM_PARAGRAPHS = 420
PER_PARAGRAPH = 5
NUM_QUESTIONS = NUM_PARAGRAPHS * PER_PARAGRAPH
SHIPS = ("Ada", "Bold Star", "Corvid", "Dun", "Eyebright")
ISOLATES = re.compile("[\u2066-\u2069]")
DESK, PHONE = (1280, 900), (390, 844)


def squad_file(out: Path) -> Path:
    """Write questions about ships, with hostile texts wherever a text can be."""

    def asked(number: int, ship: str, context: str) -> dict[str, Any]:
        name = f"{ship} {number}"
        answer = {"text": name, "answer_start": context.index(name)}
        question = f"Which ship of {ship}'s line is number {number}? {HOSTILE} {RIGHT_TO_LEFT}"
        return {"id": f"{number}-{ship}", "question": question, "answers": [answer]}

    paragraphs = []
    for number in range(NUM_PARAGRAPHS):
        context = f"{HOSTILE} 𝒳 {RIGHT_TO_LEFT} ships: " + ", ".join(f"{s} {number}" for s in SHIPS)
        paragraphs.append({"context": context, "qas": [asked(number, s, context) for s in SHIPS]})
    file = out / "eval.json"
    articles = [{"title": f"Ships {HOSTILE}", "paragraphs": paragraphs}]
    file.write_text(json.dumps({"version": "1.1", "data": articles}))
    return file


def answers(paragraphs: tuple[Group, ...], is_right: Callable[[int], bool]) -> list[Prediction]:
    """Answer rightly where `is_right` says so of a question's number, else with a word more."""
    found = []
    for number, (paragraph, asked) in enumerate((p, q) for p in paragraphs for q in p.examples):
        reference = asked.references[0]
        text = reference if is_right(number) else f"ships: {reference}"
        found.append(
            Prediction(
                id=asked.id, article=paragraph.source, paragraph=paragraph.cluster_id,
                question=asked.prompt, prediction=text, answers=[reference], ended=True,
                num_tokens=3, exact_match=exact_match(text, [reference]), f1=f1(text, [reference]),
            )
        )  # fmt: skip
    return found


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of two runs and the base model on 2,100 questions."""
    out = tmp_path_factory.mktemp("ships")
    study = Study.parse(
        {"name": "ships", "model": {"base": "smollm2-135m"}, "grid": [{"rank": [4]}],
         "data": {"train": "bundled", "eval": str(squad_file(out))}},
        "ships.toml",
    )  # fmt: skip
    questions = select(study.data).eval
    runs = [make_run(0, 60.0), make_run(1, 50.0, label=f"second {HOSTILE}")]
    for run, every in zip(runs, (2, 3), strict=True):
        found = answers(questions.groups, lambda number, n=every: number % n == 0)  # type: ignore[misc]
        write_predictions(out / "runs" / run.id, found)
        write_history(out, run, 20)
    write_predictions(out / "base", answers(questions.groups, lambda number: False))
    results = make_results(runs)
    card = results.data["eval"].model_copy(update={"fingerprint": fingerprint_of(questions)})
    write_results(out, results.model_copy(update={"data": {"eval": card}}))
    Store(out).write_lock(
        Lock(study=study.model_dump(mode="json"), facts={}, precision="fp32", device="cpu",
             threads=1, micro_tokens=64, versions={})
    )  # fmt: skip
    return write_report(out)


@pytest.fixture(scope="module")
def farsi_file(page_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same report in Persian."""
    out = tmp_path_factory.mktemp("farsi") / "ships"
    shutil.copytree(page_file.parent.parent, out)
    return write_report(out, "fa")


@pytest.fixture(scope="module")
def farsi_out(out: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the invented study with its report in Persian."""
    folder = Path(shutil.copytree(out, tmp_path_factory.mktemp("invented") / "farsi"))
    shutil.rmtree(folder / "report")
    write_report(folder, "fa")
    return folder


# Milliseconds that a step may take on a machine that others use as well.
PATIENCE = 300_000


class Visit:
    """A page that was opened, what it asked for and what it complained of."""

    def __init__(self, chromium: Any, file: Path, size: tuple[int, int]) -> None:
        self.size = size
        self.page = chromium.new_page(viewport={"width": size[0], "height": size[1]})
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.set_default_timeout(PATIENCE)
        self.page.goto(file.as_uri())
        self.table = self.page.locator("#predictions")

    def choose(self, menu: str, label: str) -> None:
        self.table.locator(f"select[name={menu}]").select_option(label=label)

    def search(self, text: str) -> None:
        self.table.get_by_role("searchbox").fill(text)

    @property
    def status(self) -> str:
        return str(self.table.get_by_role("status").inner_text())

    @property
    def heads(self) -> list[str]:
        return list(self.table.locator("thead th:not([hidden])").all_text_contents())


@contextmanager
def visiting(chromium: Any, file: Path, size: tuple[int, int]) -> Iterator[Visit]:
    """Open the page; at its end it has asked for nothing and logged nothing."""
    visit = Visit(chromium, file, size)
    yield visit
    assert [url for url in visit.requests if not url.startswith("data:")] == [file.as_uri()]
    assert visit.complaints == []
    assert visit.page.evaluate("document.documentElement.scrollWidth") == visit.size[0]
    visit.page.close()


@pytest.fixture(params=[DESK, PHONE], ids=["desk", "phone"])
def visit(request: pytest.FixtureRequest, chromium: Any, page_file: Path) -> Iterator[Visit]:
    """The open page."""
    with visiting(chromium, page_file, request.param) as visit:
        yield visit


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_page_in_persian(chromium: Any, farsi_file: Path, size: tuple[int, int]) -> None:
    with visiting(chromium, farsi_file, size) as visit:
        assert ISOLATES.sub("", visit.status) == "۲٬۱۰۰ پرسش از ۲٬۱۰۰"
        visit.choose("outcome", "درست")
        assert ISOLATES.sub("", visit.status) == "۱٬۰۵۰ پرسش از ۲٬۱۰۰"
        visit.search("NUMBER 41?")
        visit.choose("outcome", "همه")
        assert ISOLATES.sub("", visit.status) == "۵ پرسش از ۲٬۱۰۰"
        loaded = visit.page.evaluate(
            "document.fonts.ready.then(() => document.fonts.check('16px Vazirmatn', 'سلام'))"
        )
        assert loaded


def test_filters(visit: Visit) -> None:
    assert visit.status == "2,100 of 2,100 questions"
    visit.choose("outcome", "right")
    assert visit.status == "1,050 of 2,100 questions"
    visit.choose("class", "boundary: too long")
    assert visit.status == "0 of 2,100 questions"
    assert "No question passes these filters." in visit.table.inner_text()
    visit.choose("outcome", "all")
    visit.search("NUMBER 41?")
    assert visit.status == "3 of 2,100 questions"
    assert "ships: Corvid 41" in visit.table.inner_text()


def test_any_two_runs_beside_each_other(visit: Visit) -> None:
    assert visit.heads[2:] == ["r4 lr0.001 attn", "base model"]
    visit.choose("second", f"second {HOSTILE}")
    assert visit.heads[3] == f"second {HOSTILE}"
    visit.choose("outcome", "right in the first alone")
    assert visit.status == "700 of 2,100 questions"
    visit.choose("first", "base model")
    assert visit.status == "0 of 2,100 questions"
    visit.choose("outcome", "different answers")
    assert visit.status == "700 of 2,100 questions"
    visit.choose("second", "(nobody)")
    assert visit.heads[2:] == ["base model"]


def test_pages_by_keyboard(visit: Visit) -> None:
    pages = visit.table.get_by_role("navigation")
    assert "Page 1 of 84" in pages.inner_text()
    pages.get_by_role("button", name="Next").press("Enter")
    assert "Page 2 of 84" in pages.inner_text()
    assert visit.table.locator("tbody tr").count() == 25
    assert pages.get_by_role("button", name="Previous").is_enabled()


def test_a_context_opens_by_keyboard_with_its_answers_marked(visit: Visit) -> None:
    visit.search("Bold Star's line is number 7?")
    question = visit.table.locator("tbody").get_by_role("button").first
    question.press("Enter")
    assert question.get_attribute("aria-expanded") == "true"
    context = visit.table.locator("tr.context p[dir=auto]")
    assert HOSTILE in context.inner_text()
    assert context.locator("mark.reference").all_text_contents() == ["Bold Star 7"]
    assert visit.table.locator("tr.context .legend").inner_text().startswith("Reference answers")
    question.press("Enter")
    assert visit.table.locator("tr.context").count() == 0


def test_rows_are_a_table_to_screen_readers_at_any_width(visit: Visit) -> None:
    table = visit.table.get_by_role("table")
    assert table.get_by_role("row").count() == 26
    assert table.get_by_role("columnheader").count() == 4
    assert table.get_by_role("rowheader").count() == 25
    assert visit.table.get_by_role("combobox", name="Answers of", exact=True).count() == 1


def test_thousands_of_rows_are_filtered_at_once(visit: Visit) -> None:
    milliseconds = visit.page.evaluate(
        """() => {
            const box = document.querySelector("#predictions input[type=search]");
            // The fastest of some: what else the machine is doing only adds to it.
            const taken = ["s", "sh", "shi", "ship", "shi", "sh", "s"].map(letters => {
                const began = performance.now();
                box.value = letters;
                box.dispatchEvent(new Event("input", { bubbles: true }));
                document.querySelector("#predictions tbody").getBoundingClientRect();
                return performance.now() - began;
            });
            return Math.min(...taken);
        }"""
    )
    assert milliseconds < 500


def test_charts_are_called_by_their_words(visit: Visit) -> None:
    visit.page.locator("[data-chart] svg").last.wait_for()
    for box in visit.page.locator("[data-chart]").all():
        box.locator("svg").wait_for()
        words = box.get_attribute("aria-label")
        assert words is not None
        assert words != "Vega visualization"
        assert len(words) > 20
    assert visit.page.locator("[aria-label='Vega visualization']").count() == 0


def test_legends_by_keyboard(visit: Visit) -> None:
    def faded() -> int:
        return int(visit.page.locator("#losses figure path[opacity='0.1']").count())

    entry = visit.page.locator("#losses svg [role=button]").first
    entry.press("Enter")
    visit.page.locator("#losses figure path[opacity='0.1']").first.wait_for()
    entry.press(" ")
    visit.page.wait_for_function("!document.querySelector('#losses path[opacity=\"0.1\"]')")
    assert faded() == 0


def test_tables_are_sorted_by_a_click_or_a_key(visit: Visit) -> None:
    board = visit.page.locator("#leaderboard .scroll table")

    def names() -> list[str]:
        return [text.strip() for text in board.locator("tbody th").all_text_contents()]

    before = names()
    assert before == ["r4 lr0.001 attn", f"second {HOSTILE}", "base model"]
    loss = board.get_by_role("button", name="Evaluation loss")
    loss.click()
    assert names() == [before[2], before[1], before[0]]
    assert board.locator("th[aria-sort=descending]").count() == 1
    loss.press("Enter")
    assert names() == before
    rank = board.get_by_role("button", name="Rank")
    rank.press(" ")
    assert names()[-1] == "base model", "what was not measured stays below"
    rank.press(" ")
    assert names()[-1] == "base model"
    rank.press(" ")
    assert names() == before
    assert board.locator("th[aria-sort]").count() == 0


@pytest.mark.parametrize("language", ["en", "fa"])
def test_no_table_is_cut_at_a_desk(
    chromium: Any, out: Path, farsi_out: Path, language: str
) -> None:
    file = {"en": out, "fa": farsi_out}[language] / "report" / "index.html"
    with visiting(chromium, file, DESK) as visit:
        cut = visit.page.evaluate(
            """[...document.querySelectorAll(".scroll")]
                .filter(box => box.scrollWidth > box.clientWidth)
                .map(box => box.querySelector("caption").id)"""
        )
        # The invented labels and terms of failure have one word of seventy letters.
        assert set(cut) <= {"table-sample_predictions", "table-failure_examples"}


def test_contents_follow_the_reader_at_a_desk_and_are_folded_on_a_phone(visit: Visit) -> None:
    link = visit.page.locator(".contents").get_by_role("link", name="References")
    if visit.size == PHONE:
        link.wait_for(state="hidden")
        visit.page.locator(".contents summary").press("Enter")
    link.click()
    visit.page.locator("#references").scroll_into_view_if_needed()
    if visit.size == DESK:
        visit.page.locator(".contents [aria-current]").wait_for()
        box = visit.page.locator(".contents nav").bounding_box()
        assert 0 <= box["y"] < visit.size[1]


def test_on_paper_nothing_speaks_of_what_only_a_screen_can_do(
    chromium: Any, page_file: Path
) -> None:
    with visiting(chromium, page_file, DESK) as visit:
        visit.page.emulate_media(media="print")
        assert "Choose an entry of a legend" not in visit.page.locator("main").inner_text()
        assert not visit.page.locator("#predictions").is_visible()
        pixels = visit.page.evaluate(
            """Math.min(...[...document.querySelectorAll("main .scroll td")]
                .map(cell => parseFloat(getComputedStyle(cell).fontSize)))"""
        )
        assert pixels >= 8 * 96 / 72 - 0.01, "8 pt"
        visit.page.emulate_media(media="screen")
