"""Commands on studies: train, resume, plan, status, decode, analyse, failures, report."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lorasweep.cli.options import (
    CLUSTERS_HELP,
    Folder,
    JsonOption,
    OutOption,
    QuietOption,
    SetOption,
    StudyArgument,
    Unit,
)
from lorasweep.cli.where import AddressOption, ExecutorOption, chosen_executor

if TYPE_CHECKING:
    from lorasweep.folder.records import Results
    from lorasweep.study.study import Study


def run(
    study: StudyArgument,
    out: OutOption = None,
    set_: SetOption = None,
    track: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Tell tensorboard, mlflow, wandb or trackio of runs."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    executor: ExecutorOption = "local",
    address: AddressOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train, score and report whatever a study still lacks in its folder."""
    loaded = _load(study, set_)
    folder = out or Path("out") / loaded.name
    if dry_run:
        _print_plan(loaded, folder, as_json)
        return
    from lorasweep.cli.terminal import reporting
    from lorasweep.running.driver import run as run_study

    with chosen_executor(executor, address) as where, reporting(quiet) as reporter:
        results = run_study(loaded, folder, reporter, track=track or (), executor=where)
    _show(results, folder, loaded.evaluate.decoders, quiet, as_json)


def _show(
    results: "Results", folder: Path, decoders: Sequence[str], quiet: bool, as_json: bool
) -> None:
    """Print what a command that computes has come to."""
    from lorasweep.cli.terminal import print_leaderboard

    if as_json:
        print(results.model_dump_json(by_alias=True, indent=1))
    elif not quiet:
        print_leaderboard(results, folder, decoders)


def decode(
    folder: Folder,
    decoder: Annotated[
        list[str],
        typer.Option(metavar="SPEC", help="Such as span, beam-4, top-k-10 or nucleus-0.9."),
    ],
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Answer by more decoders in the folder of a finished study; nothing is trained."""
    from lorasweep.cli.terminal import reporting
    from lorasweep.running.driver import decode as decode_study

    with reporting(quiet) as reporter:
        results = decode_study(folder, decoder, reporter)
    _show(results, folder, decoder, quiet, as_json)


def resume(
    folder: Folder,
    run: Annotated[
        list[str], typer.Option("--run", metavar="ID", help="The id of a run that lost a race.")
    ],
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train runs that lost a race to their end after all, and score them."""
    from lorasweep.cli.terminal import reporting
    from lorasweep.running.driver import resume as resume_runs

    with reporting(quiet) as reporter:
        results = resume_runs(folder, run, reporter)
    _show(results, folder, ["greedy"], quiet, as_json)


def plan(
    study: StudyArgument,
    out: OutOption = None,
    set_: SetOption = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Time a few steps and answers on this machine.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a study comes to: runs, packs, warnings, and an estimate of time and memory.

    Nothing is loaded, unless --calibrate asks for it.
    """
    loaded = _load(study, set_)
    if calibrate:
        from lorasweep.cli.terminal import reporting
        from lorasweep.running.calibration import calibrate as measure

        with reporting(quiet=as_json) as reporter:
            measure(loaded, reporter)
    _print_plan(loaded, out or Path("out") / loaded.name, as_json)


def status(folder: Folder, as_json: JsonOption = False) -> None:
    """Show how a study's folder stands, also while another process is at work in it."""
    from lorasweep.forecast.status import status_of

    found = status_of(folder)
    if as_json:
        print(json.dumps(found.as_json(), indent=1))
        return
    from lorasweep.cli.terminal import print_status

    print_status(found)


def analyse(
    folder: Folder,
    clusters: Annotated[
        Unit | None, typer.Option(help=f"{CLUSTERS_HELP}; default: what the study says.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Analyse a study's records anew, without training, and write the report."""
    from lorasweep.analysis.results import analyse_folder
    from lorasweep.cli.terminal import print_leaderboard
    from lorasweep.report.page import write_report

    results = analyse_folder(folder, clusters)
    write_report(folder)
    if as_json:
        print(results.model_dump_json(by_alias=True, indent=1))
    else:
        print_leaderboard(results, folder, ["greedy"])


def failures(
    folder: Folder,
    run: Annotated[
        str, typer.Option("--run", metavar="RUN", help="A run's id or label; base for the model.")
    ],
    against: Annotated[
        str, typer.Option(metavar="RUN", help="What to set beside it, likewise.")
    ] = "base",
    decoder: Annotated[str, typer.Option(metavar="SPEC", help="Whose answers to take.")] = "greedy",
    as_json: JsonOption = False,
) -> None:
    """Say why a run's answers are wrong, and what changed from another run or the base model."""
    from lorasweep.finished.wrong_answers import wrong_answers

    found = wrong_answers(folder, run, against, decoder)
    if as_json:
        print(json.dumps(found.as_json(), indent=1))
        return
    from lorasweep.cli.failures_text import print_wrong_answers

    print_wrong_answers(found)


def report(
    folder: Folder,
    lang: Annotated[
        str | None,
        typer.Option(
            metavar="CODE", help="en for English, fa for Persian; default: as the report was."
        ),
    ] = None,
    to: Annotated[
        Literal["docx", "tex", "pdf"] | None,
        typer.Option(help="Make a document of report.md as well, by pandoc."),
    ] = None,
) -> None:
    """Write the report of a study's folder anew; what was changed in it by hand stays."""
    from lorasweep.report.page import write_report
    from lorasweep.report.papers import write_document

    page = write_report(folder, lang)
    print(page)
    if to:
        print(write_document(page.parent, to))


def _load(study: str, overrides: list[str] | None) -> "Study":
    from lorasweep.study.study import Study

    return Study.load(study, overrides or ())


def _device() -> str:
    """Return where packs would be trained; torch, slow to load, is asked if there is a driver."""
    if shutil.which("nvidia-smi") is None:
        return "cpu"
    from lorasweep.model.machine import default_device

    return default_device()


def _print_plan(study: "Study", folder: Path, as_json: bool) -> None:
    from lorasweep.forecast.remaining import forecast
    from lorasweep.hub.models import read_config
    from lorasweep.study.plan import make_plan, plan_json

    planned = make_plan(study, read_config(study.model.base), _device())
    expected = forecast(planned, folder)
    if as_json:
        estimated = {"estimate": expected.as_json() if expected else None}
        print(json.dumps(plan_json(planned) | estimated, indent=1))
        return
    from lorasweep.cli.terminal import print_plan

    print_plan(planned, expected)
