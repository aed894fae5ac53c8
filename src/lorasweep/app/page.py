"""The app's page: leaderboard, questions, failures and progress, put together with gradio."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lorasweep.app import views
from lorasweep.app.door import Door
from lorasweep.app.study import (
    CLASSES,
    DECODERS,
    ShownStudy,
)
from lorasweep.errors import UserError, how_to_install

SECONDS_BETWEEN_LOOKS = 3
LONGEST_QUEUE = 16
LOOPBACK = "127.0.0.1"
EXAMPLE = ("The mill at Orrin burned twice.", "How often did the mill burn?")


def serve(
    out: Path, host: str = LOOPBACK, port: int = 7860, say: Callable[[str], None] = print
) -> None:
    """Show a study's folder at http://HOST:PORT until interrupted.

    `say` is told the address once it listens. Raises UserError where gradio is not installed, the
    folder holds no study, or the port is taken.
    """
    page = build(ShownStudy(out))
    try:
        page.launch(
            server_name=host, server_port=port, prevent_thread_lock=True,
            app_kwargs=_door(host, out), **HOW_TO_LAUNCH,
        )  # fmt: skip
    except OSError:
        raise UserError(
            f"--port {port}: {host} cannot listen there, or something else does; choose another"
        ) from None
    say(f"http://{host}:{port}")
    page.block_thread()


def _door(host: str, out: Path) -> dict[str, Any]:
    from starlette.middleware import Middleware

    return {"middleware": [Middleware(Door, host=host, report=out / "report")]}


HOW_TO_LAUNCH: dict[str, Any] = {
    # Nothing of a study goes to anybody else: no tunnel, no other files, no fonts from elsewhere.
    "share": False,
    "css": views.STYLE,
    "max_file_size": 1,
    "footer_links": [],
    "ssr_mode": False,
    "quiet": True,
}


def gradio() -> Any:
    """Import gradio; raises UserError where it is not installed."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when it is imported
    try:
        import gradio as found
    except ImportError:
        raise UserError(f"the app needs gradio; {how_to_install('app')}") from None
    return found


def build(study: ShownStudy) -> Any:
    """Return the page, a gradio.Blocks; one question is answered at a time, a few may wait."""
    gr = gradio()
    with gr.Blocks(title=f"{study.name}: lorasweep", analytics_enabled=False) as page:
        gr.HTML(views.title(study.name, has_report=study.has_report))
        timer = gr.Timer(SECONDS_BETWEEN_LOOKS)
        with gr.Tab("Leaderboard"):
            _leaderboard(gr, study, page, timer)
        with gr.Tab("Ask"):
            _ask(gr, study, page)
        with gr.Tab("Failures"):
            _failures(gr, study, page)
    page.queue(max_size=LONGEST_QUEUE, default_concurrency_limit=1, api_open=False)
    return page


def _leaderboard(gr: Any, study: ShownStudy, page: Any, timer: Any) -> None:
    work = gr.HTML(elem_id="work")
    decoder = gr.Dropdown(study.decoders or ["greedy"], value="greedy", label="Decoder")
    table = gr.HTML(elem_id="runs")
    gr.Markdown("95 % intervals by resampling paragraphs; `*` is tied for best.")

    def look(chosen: str) -> tuple[str, str, Any]:
        choices = gr.Dropdown(choices=study.decoders or ["greedy"])
        return study.work(), study.leaderboard(chosen), choices

    looks = {"inputs": decoder, "outputs": [work, table, decoder], "api_visibility": "private"}
    gr.on([page.load, timer.tick], look, show_progress="hidden", **looks)
    decoder.input(study.leaderboard, decoder, table, api_visibility="private")


def _ask(gr: Any, study: ShownStudy, page: Any) -> None:
    picked = gr.Dropdown([], label="A question of this study", elem_id="picked")
    context = gr.Textbox(label="Text", lines=6, elem_id="text", placeholder=EXAMPLE[0])
    question = gr.Textbox(label="Question", elem_id="question", placeholder=EXAMPLE[1])
    with gr.Row():
        runs = gr.CheckboxGroup([], label="Runs, beside the base model", elem_id="asked")
        decoder = gr.Dropdown(list(DECODERS), value="greedy", label="Decoder")
    with gr.Row():
        button = gr.Button("Ask", variant="primary")
        stop = gr.Button("Cancel")
    answers = gr.HTML(elem_id="answers")

    def ask(
        context: str, question: str, runs: list[str], decoder: str, request: gr.Request
    ) -> Iterator[str]:
        yield from study.asking(request.session_hash, context, question, runs, decoder)

    def cancel(request: gr.Request) -> None:
        study.cancel(request.session_hash)

    page.load(lambda: _choices(gr.CheckboxGroup, study), None, runs, api_visibility="private")
    page.load(lambda: gr.Dropdown(choices=study.questions), None, picked, api_visibility="private")
    picked.input(study.picked, picked, [context, question], api_visibility="private")
    gr.on(
        [button.click, question.submit], ask, [context, question, runs, decoder],
        answers, api_visibility="private", concurrency_limit=1, show_progress="hidden",
    )  # fmt: skip
    stop.click(cancel, None, None, api_visibility="private", queue=False)
    page.unload(cancel)


def _failures(gr: Any, study: ShownStudy, page: Any) -> None:
    with gr.Row():
        run = gr.Dropdown([], label="Run", elem_id="failing")
        decoder = gr.Dropdown(study.decoders or ["greedy"], value="greedy", label="Decoder")
        kind = gr.Dropdown(CLASSES, value=CLASSES[0], label="Class")
    button = gr.Button("Show wrong answers")
    found = gr.HTML(elem_id="failures")
    page.load(lambda: _choices(gr.Dropdown, study), None, run, api_visibility="private")
    button.click(_told(study.failures), [run, decoder, kind], found, api_visibility="private")


def _choices(component: Any, study: ShownStudy) -> Any:
    """Return the component with the runs to choose from, the best one chosen."""
    names = study.runs
    is_many = component.__name__ == "CheckboxGroup"
    return component(choices=names, value=names[:1] if is_many else next(iter(names), None))


def _told(answer: Callable[..., str]) -> Callable[..., str]:
    """Return the function with a user's mistake as what it shows."""

    def told(*arguments: Any) -> str:
        try:
            return answer(*arguments)
        except UserError as error:
            return views.mistake(error)

    return told
