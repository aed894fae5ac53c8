"""Commands that let the runs of a finished study answer: in the terminal, and in the browser."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from lorasweep.cli.options import RUN_HELP, Folder, JsonOption
from lorasweep.console.outputs import print_json

RunsOption = Annotated[
    list[str] | None,
    typer.Option("--run", metavar="RUN", help=f"{RUN_HELP}, the default."),
]


def ask(
    folder: Folder,
    context: Annotated[str, typer.Option(metavar="FILE|TEXT", help="The text, or its file.")],
    question: Annotated[str, typer.Option(help="What to ask about the text.")],
    runs: RunsOption = None,
    decoder: Annotated[str, typer.Option(metavar="SPEC", help="greedy, span, beam-4, ...")] = (
        "greedy"
    ),
    as_json: JsonOption = False,
) -> None:
    """Answer a question about any text, runs side by side.

    The base model's answer stands beside them.
    """
    from lorasweep.cli.terminal import print_replies, text_of
    from lorasweep.finished.asking import Panel

    panel = Panel(folder)
    chosen = runs or [run for run in [panel.results.chosen] if run]
    replies = panel.answer(text_of(context), question, chosen, decoder)
    if as_json:
        print_json(json.dumps([asdict(reply) for reply in replies], indent=1, ensure_ascii=False))
    else:
        print_replies(replies)


def show(
    folder: Folder,
    host: Annotated[str, typer.Option(help="Who may visit: this machine alone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen at.")] = 7860,
) -> None:
    """Show a study in the browser.

    It has the leaderboard, questions to the runs, their failures, and the progress.
    """
    from lorasweep.app.page import serve

    serve(folder, host, port, lambda address: print(address, flush=True))
