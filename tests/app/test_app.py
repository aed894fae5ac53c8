"""The app in headless Chromium, with real (tiny) adapters."""

import http.client
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from calling import assert_refused, call
from lorasweep import Results
from lorasweep.app import views
from lorasweep.app.study import ALL, MOST_CONTEXT, ShownStudy
from lorasweep.errors import UserError
from lorasweep.finished.asking import Reply, Token
from lorasweep.folder import heartbeat
from lorasweep.folder.files import write_json
from lorasweep.folder.heartbeat import Heartbeat
from lorasweep.folder.holding import holding
from lorasweep.folder.store import Store

pytest.importorskip("gradio", reason="needs the extra app")
from lorasweep.app import page as app_page

TEXT = "The <b>mill</b> at Orrin burned twice. Ada Lunt drew the first chart of the bay in 1841."
QUESTION = "Who drew the chart?"
PATIENCE = 300_000


@pytest.fixture(scope="module")
def folder(gpt2_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(gpt2_study, tmp_path_factory.mktemp("app") / "shown"))


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """The app as the command serves it, in a process of its own."""
    with socket.socket() as free:
        free.bind((app_page.LOOPBACK, 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "lorasweep", "app", str(folder), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as app:
        try:
            _wait_for(app, port)
            yield f"http://{app_page.LOOPBACK}:{port}"
        finally:
            app.terminate()


def _wait_for(app: "subprocess.Popen[bytes]", port: int) -> None:
    for _ in range(PATIENCE // 500):
        assert app.poll() is None, "the app has ended"
        with socket.socket() as probe:
            if probe.connect_ex((app_page.LOOPBACK, port)) == 0:
                return
        time.sleep(0.5)
    raise AssertionError("the app does not answer")


@pytest.fixture
def page(chromium: Any, address: str) -> Iterator[Any]:
    opened = chromium.new_page(viewport={"width": 1200, "height": 1000})
    opened.set_default_timeout(PATIENCE)
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(address)
    yield opened
    strangers = [url for url in asked if not url.startswith((address, "data:", "blob:"))]
    opened.close()
    assert strangers == [], "the app asks nobody else for anything"


def picture(page: Any, name: str) -> None:
    """Keep a picture to look at, where LORASWEEP_PICTURES names a folder."""
    if place := os.environ.get("LORASWEEP_PICTURES"):
        page.screenshot(path=f"{place}/{name}.png", full_page=True)


@pytest.mark.slow
def test_the_leaderboard_has_every_run_with_its_interval(page: Any, results: Results) -> None:
    page.locator("#runs tbody tr").nth(len(results.runs)).wait_for()
    rows = [row.locator("td").all_inner_texts() for row in page.locator("#runs tbody tr").all()]
    by_name = {name.removeprefix("* "): row for name, *row in rows}
    assert by_name.keys() == {"base model", *(run.label for run in results.runs)}
    for run in results.runs:
        scores = run.metrics["greedy"]
        assert not isinstance(scores, float)
        assert scores.rank.interval is not None
        low, high = scores.rank.interval
        assert by_name[run.label][1:3] == [f"{scores.rank.mean:.1f}", f"{low:.1f} to {high:.1f}"]
    picture(page, "leaderboard")


@pytest.mark.slow
def test_a_visitor_asks_all_runs_side_by_side(page: Any, folder: Path, results: Results) -> None:
    page.get_by_role("tab", name="Ask").click()
    page.locator("#text textarea").fill(TEXT)
    page.locator("#question textarea, #question input").first.fill(QUESTION)
    boxes = page.locator("#asked input[type=checkbox]")
    boxes.nth(len(results.runs) - 1).wait_for()  # they come with an answer of the server
    for box in boxes.all():
        box.check()
    page.get_by_role("button", name="Ask").click()
    answers = page.locator("#answers .reply")
    answers.nth(len(results.runs)).wait_for()
    found = ShownStudy(folder).panel.answer(TEXT, QUESTION, ShownStudy(folder).runs)
    assert answers.locator("h3").all_inner_texts() == [reply.who for reply in found]
    shown = [text.partition(" (cut")[0] for text in answers.locator(".answer").all_inner_texts()]
    assert [text.split() for text in shown] == [(r.text or "nothing").split() for r in found]
    assert "%" in answers.first.locator(".tokens").inner_text()
    assert page.locator("#answers b").count() == 0, "the text is shown, never run"
    picture(page, "ask")


@pytest.mark.slow
def test_other_decoders_mark_the_answer_in_the_text(page: Any) -> None:
    page.get_by_role("tab", name="Ask").click()
    page.locator("#text textarea").fill(TEXT)
    page.locator("#question textarea, #question input").first.fill(QUESTION)
    page.get_by_label("Decoder").nth(1).click()
    page.get_by_role("option", name="span").click()
    page.get_by_role("button", name="Ask").click()
    first = page.locator("#answers .reply").first
    first.locator("mark").wait_for()
    answer = first.locator(".answer").inner_text().partition(" (cut")[0]
    assert first.locator("mark").inner_text().strip(".,") in answer
    picture(page, "span")


@pytest.mark.slow
def test_a_question_of_the_study_fills_the_boxes(page: Any, folder: Path) -> None:
    page.get_by_role("tab", name="Ask").click()
    page.locator("#picked input").click()
    page.get_by_role("option").first.click()
    page.wait_for_function("document.querySelector('#text textarea').value.length > 20")
    text, _ = ShownStudy(folder).questions[0]
    assert page.locator("#question textarea, #question input").first.input_value() == text


@pytest.mark.slow
def test_on_a_phone_the_leaderboard_scrolls_in_its_box(page: Any, results: Results) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("#runs tbody tr").nth(len(results.runs)).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#runs .scroll").evaluate("box => box.scrollWidth > box.clientWidth")
    picture(page, "phone")


@pytest.mark.slow
def test_the_report_is_behind_the_same_door(page: Any, address: str) -> None:
    link = page.get_by_role("link", name="The report")
    assert link.get_attribute("href") == "report/index.html"
    page.goto(f"{address}/report/index.html")
    page.locator("#leaderboard").wait_for()


@pytest.mark.slow
def test_a_name_from_elsewhere_is_refused(page: Any, address: str) -> None:
    port = int(address.rpartition(":")[2])
    with closing(http.client.HTTPConnection(app_page.LOOPBACK, port, timeout=300)) as asked:
        asked.request("GET", "/", headers={"Host": f"elsewhere.example:{port}"})
        with asked.getresponse() as response:
            assert response.status == 421


@pytest.mark.slow
def test_mistakes_are_told(page: Any) -> None:
    page.get_by_role("tab", name="Ask").click()
    page.locator("#text textarea").fill(TEXT)
    page.get_by_role("button", name="Ask").click()
    page.locator("#answers").get_by_text("the question is empty").wait_for()


@pytest.mark.slow
def test_wrong_answers_are_browsed(page: Any) -> None:
    page.get_by_role("tab", name="Failures").click()
    page.wait_for_function("document.querySelector('#failing input')?.value")
    page.get_by_role("button", name="Show wrong answers").click()
    details = page.locator("#failures details")
    details.first.wait_for()
    details.first.locator("summary").click()
    details.first.locator(".text, small").last.wait_for()
    picture(page, "failures")


@contextmanager
def at_work(out: Path, run: str) -> Iterator[None]:
    """Let a folder look as if one of its runs were in training."""
    store = Store(out)
    record = store.read_run(run)
    assert record is not None
    beat = store.checkpoints_folder / record.pack.id / heartbeat.FILE
    with holding(store.out):
        write_json(beat, Heartbeat(num_steps_done=1, num_steps=4).model_dump(mode="json"))
        (store.run_folder(run) / "record.json").unlink()
        yield
        store.write_run(record)
        store.drop_checkpoints(record.pack.id)


def test_a_run_in_training_shows_its_share(copied_study: Path, results: Results) -> None:
    study, run = ShownStudy(copied_study), results.runs[0]
    assert study.work() == "<p>Runs: 2 done. Nobody is at work in this folder.</p>"
    with at_work(copied_study, run.id):
        shown = study.work()
    assert "<p>Runs: 1 done, 1 running. At work" in shown
    assert f'value="0.250"></progress> {run.label}: 25% trained</p>' in shown


@pytest.mark.slow
def test_progress_is_live(page: Any, folder: Path, results: Results) -> None:
    work, run = page.locator("#work"), results.runs[0]
    work.get_by_text("Nobody is at work").wait_for()
    with at_work(folder, run.id):
        work.get_by_text(f"{run.label}: 25% trained").wait_for()
        picture(page, "progress")
    work.get_by_text("Nobody is at work").wait_for()


def test_a_text_is_shown_around_its_answer() -> None:
    text = f"{'before ' * 200}Ada Lunt drew it. {'after ' * 200}"
    shown = views.in_text(text, "Ada Lunt")
    assert "<mark>Ada Lunt</mark> drew it." in shown
    assert len(shown) < 800
    assert shown.count("…") == 2


def test_a_visitor_hears_of_the_wait_and_gets_the_answers(gpt2_study: Path) -> None:
    study = ShownStudy(gpt2_study)
    *waiting, answers = study.asking("ada", TEXT, QUESTION, study.runs[:1], "greedy")
    assert all("Answering, " in said for said in waiting)
    assert "The first question loads the model" in waiting[0]
    assert answers == study.ask(TEXT, QUESTION, study.runs[:1], "greedy")


def test_an_answer_is_stopped_by_the_visitor_who_asked(gpt2_study: Path) -> None:
    study = ShownStudy(gpt2_study)
    asking = study.asking("ada", TEXT, QUESTION, [], "greedy")
    next(asking)
    study.cancel("somebody else")
    assert not study._asked[1].is_set()  # type: ignore[index]
    study.cancel("ada")
    assert list(asking)[-1] == '<p role="alert">cancelled</p>'
    *_, answers = study.asking("ada", TEXT, QUESTION, [], "greedy")
    assert "base model" in answers


def test_a_question_of_the_study_can_be_picked(gpt2_study: Path) -> None:
    study = ShownStudy(gpt2_study)
    text, id = study.questions[0]
    context, question = study.picked(id)
    assert question == text
    assert context in {paragraph.context for paragraph in study.paragraphs}


def test_the_title_is_the_studys_and_leads_to_its_report(gpt2_study: Path) -> None:
    study = ShownStudy(gpt2_study)
    lock = study.store.read_lock()
    assert lock is not None
    assert study.name == lock.study["name"] != gpt2_study.name
    assert 'href="report/index.html"' in views.title("<s>", study.has_report)
    assert "&lt;s&gt;" in views.title("<s>", True)


def test_input_is_bounded(gpt2_study: Path) -> None:
    study = ShownStudy(gpt2_study)
    for context, question, runs, said in (
        ("x" * (MOST_CONTEXT + 1), QUESTION, [], "at most 20000 are read"),
        (TEXT, "x" * 501, [], "at most 500 are read"),
        (TEXT, QUESTION, ["run"] * 9, "at most 8 answer at once"),
        (" ", QUESTION, [], "the text is empty"),
        (TEXT, " ", [], "the question is empty"),
    ):
        with pytest.raises(UserError, match=said):
            study.ask(context, question, runs, "greedy")


def test_texts_are_escaped_and_the_answer_is_marked() -> None:
    reply = Reply("<run>", "Ada Lunt", True, (Token(" Ada<", 0.25), Token("\n", 1.0)))
    html = views.replies(TEXT, [reply])
    assert "&lt;run&gt;" in html
    assert "&lt;b&gt;mill" in html
    assert "<mark>Ada Lunt</mark> drew" in html
    assert "Ada&lt; <small>25%</small>" in html
    assert "<b>" not in html
    assert "does not stand in the text" in views.in_text(TEXT, "Orrin twice")


def test_failures_are_those_of_the_chosen_class(gpt2_study: Path, results: Results) -> None:
    study, run = ShownStudy(gpt2_study), results.runs[0].label
    every = study.failures(run, "greedy", ALL)
    files = study.store.of_run(results.runs[0].id)
    wrong = sum(p.scores["exact_match"] < 1 for p in files.read_predictions("greedy"))
    assert every.count("<details>") == wrong > 0
    kinds = [
        study.failures(run, "greedy", kind).count("<details>") for kind in app_page.CLASSES[1:]
    ]
    assert sum(kinds) == wrong


def test_mistakes_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = call("app", tmp_path / "none")
    assert ended.code == 2
    assert "no study in" in ended.err


def test_the_app_listens_to_this_machine_alone(
    gpt2_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched: list[dict[str, Any]] = []

    class Page:
        def launch(self, **how: Any) -> None:
            launched.append(how)

        def block_thread(self) -> None: ...

    monkeypatch.setattr(app_page, "build", lambda study: Page())
    assert call("app", gpt2_study).out == "http://127.0.0.1:7860\n"
    assert call("app", gpt2_study, "--host", "0.0.0.0", "--port", "8000").code == 0
    assert [(how["server_name"], how["server_port"]) for how in launched] == [
        ("127.0.0.1", 7860), ("0.0.0.0", 8000),
    ]  # fmt: skip
    assert not any(how["share"] for how in launched)


def test_an_address_is_said_only_when_it_listens(
    gpt2_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Taken:
        def launch(self, **how: Any) -> None:
            raise OSError("Cannot find empty port in range: 7860-7860.")

    monkeypatch.setattr(app_page, "build", lambda study: Taken())
    assert_refused(call("app", gpt2_study), "--port 7860: ", "choose another")
    assert_refused(call("app", tmp_path / "none"), "no study in")


def test_without_gradio_the_command_says_what_to_install(
    gpt2_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    ended = call("app", gpt2_study)
    assert "pip install -e '.[app]'" in ended.err
    assert_refused(ended.__class__(ended.code, "", ended.err), "the app needs gradio")
