"""Commands that give runs to others: a folder, merged weights, the Hub."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from lorasweep.cli.options import RUN_HELP, Folder, JsonOption, QuietOption
from lorasweep.console.outputs import print_json
from lorasweep.console.plain_text import visible


def export(
    folder: Folder,
    run: Annotated[
        str | None, typer.Option(metavar="RUN", help=f"{RUN_HELP}, the default.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder to write; default DIR/exports/ID.")
    ] = None,
    merged: Annotated[
        bool, typer.Option("--merged", help="Write the base model with the adapter in its weights.")
    ] = False,
    push: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="Upload it to the Hub too.")
    ] = None,
) -> None:
    """Write a run as PEFT or transformers loads it.

    A card made from its record goes with it.
    """
    from lorasweep.finished.sharing import export as exporting

    if push is not None:
        exporting.check_repository(push)
    place = exporting.export(folder, run or _best(folder), out, merged)
    print(place)
    if push is not None:
        print(exporting.push(place, push))


def _best(folder: Path) -> str:
    """Return the id of the best run, and say which that is."""
    from lorasweep.analysis.naming import BEST
    from lorasweep.analysis.results import run_called
    from lorasweep.folder.store import Store

    results = Store(folder).read_results()
    found = run_called(results, BEST)
    print(f"the best run: {visible(results.names[found.id])}", file=sys.stderr)
    return found.id


def import_(
    adapter: Annotated[Path, typer.Argument(help="A folder with an adapter in PEFT's format.")],
    study: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder of the finished study to join.")
    ],
    name: Annotated[
        str | None, typer.Option(help="What to call it; default its folder's name.")
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score a PEFT adapter trained elsewhere.

    It joins the runs of a finished study.
    """
    from lorasweep.cli.terminal import print_leaderboard, reporting
    from lorasweep.finished.sharing.importing import import_adapter

    with reporting(quiet) as reporter:
        results = import_adapter(adapter, study, name, reporter)
    if as_json:
        print_json(results.model_dump_json(by_alias=True, indent=1))
    elif not quiet:
        print_leaderboard(results, study, ["greedy"])
