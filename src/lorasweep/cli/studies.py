"""Commands on studies: train, resume, plan, status, check, decode, analyse, failures, report."""

import json
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lorasweep.cli.options import (
    CLUSTERS_HELP,
    RUN_HELP,
    Folder,
    JsonOption,
    OutOption,
    QuietOption,
    SetOption,
    StudyArgument,
    Unit,
)
from lorasweep.cli.where import AddressOption, ExecutorOption, chosen_executor
from lorasweep.console.outputs import print_json

if TYPE_CHECKING:
    from lorasweep.folder.records import Results
    from lorasweep.forecast.estimate import Costs
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
    """Train, score and report what a study still lacks.

    Interrupted, the same command goes on; finished, it says how the runs stand.
    """
    loaded = _load(study, set_)
    folder = out or Path("out") / loaded.name
    if dry_run:
        _print_plan(loaded, folder, as_json)
        return
    from lorasweep.data.selection import look

    # What is wrong with the data is said before anything slow is imported.
    selection = look(loaded.data)
    from lorasweep.cli.terminal import reporting
    from lorasweep.running.driver import run as run_study

    with chosen_executor(executor, address) as where, reporting(quiet) as reporter:
        results = run_study(
            loaded, folder, reporter, track=track or (), executor=where, selection=selection
        )
    _show(results, folder, loaded.evaluate.decoders, quiet, as_json)


def _show(
    results: "Results", folder: Path, decoders: Sequence[str], quiet: bool, as_json: bool
) -> None:
    """Print what a command that computes has come to."""
    from lorasweep.cli.terminal import print_leaderboard

    if as_json:
        print_json(results.model_dump_json(by_alias=True, indent=1))
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
    """Answer by more decoders in a finished study.

    Nothing is trained.
    """
    from lorasweep.cli.terminal import reporting
    from lorasweep.running.driver import decode as decode_study

    with reporting(quiet) as reporter:
        results = decode_study(folder, decoder, reporter)
    _show(results, folder, decoder, quiet, as_json)


def resume(
    folder: Folder,
    run: Annotated[
        list[str],
        typer.Option("--run", metavar="RUN", help="A run that lost a race: its id or label."),
    ],
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train runs that lost a race to their end.

    They are scored then like the others.
    """
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
        bool,
        typer.Option("--calibrate", help="Time steps and answers, about two minutes."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show a study's runs, packs, warnings, time and memory.

    Nothing is loaded, unless --calibrate asks for it.
    """
    loaded, costs = _load(study, set_), None
    if calibrate:
        from lorasweep.cli.terminal import reporting
        from lorasweep.running.calibration import calibrate as measure

        with reporting(quiet=as_json) as reporter:
            costs = measure(loaded, reporter)
    _print_plan(loaded, out or Path("out") / loaded.name, as_json, costs)


def status(folder: Folder, as_json: JsonOption = False) -> None:
    """Show how a study's folder stands, and what is left.

    Also while another process is at work in it.
    """
    from lorasweep.forecast.status import status_of

    found = status_of(folder)
    if as_json:
        print_json(json.dumps(found.as_json(), indent=1))
        return
    from lorasweep.cli.terminal import print_status

    print_status(found)


def check(folder: Folder, as_json: JsonOption = False) -> None:
    """Check that a folder's files are what was written.

    Each is sound, missing, damaged or unverified: files of folders that older versions wrote, of
    which nothing says what they held. The exit code is 2 where one is missing or damaged.
    """
    from lorasweep.finished.checking import check as check_folder
    from lorasweep.finished.checking import is_whole

    found = check_folder(folder)
    if as_json:
        print(json.dumps([each.as_json() for each in found], indent=1))
    else:
        counts = Counter(each.state for each in found)
        for each in found:
            print(f"{each.state:10} {each.file}{f': {each.remedy}' if each.remedy else ''}")
        print(", ".join(f"{count:,} {state}" for state, count in counts.items()))
    if not is_whole(found):
        raise typer.Exit(2)


def analyse(
    folder: Folder,
    clusters: Annotated[
        Unit | None, typer.Option(help=f"{CLUSTERS_HELP}; default: what the study says.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Analyse a study's records anew, and write the report.

    Nothing is trained.
    """
    from lorasweep.analysis.results import analyse_folder
    from lorasweep.cli.terminal import print_leaderboard

    results = analyse_folder(folder, clusters)
    _write_report(folder)
    if as_json:
        print_json(results.model_dump_json(by_alias=True, indent=1))
    else:
        print_leaderboard(results, folder, ["greedy"])


def failures(
    folder: Folder,
    run: Annotated[
        str, typer.Option("--run", metavar="RUN", help=f"{RUN_HELP}; base for the base model.")
    ] = "best",
    against: Annotated[
        str, typer.Option(metavar="RUN", help="What to set beside it, likewise.")
    ] = "base",
    decoder: Annotated[str, typer.Option(metavar="SPEC", help="Whose answers to take.")] = "greedy",
    as_json: JsonOption = False,
) -> None:
    """Say why a run's answers are wrong.

    Beside them stands what has changed from another run, or from the base model.
    """
    from lorasweep.finished.wrong_answers import wrong_answers

    found = wrong_answers(folder, run, against, decoder)
    if as_json:
        print_json(json.dumps(found.as_json(), indent=1))
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
    """Write the report of a study's folder anew.

    What was changed in it by hand stays.
    """
    from lorasweep.analysis.gaps import gaps
    from lorasweep.folder.store import Store
    from lorasweep.report.papers import write_document

    page = _write_report(folder, lang)
    for warning in gaps(Store(folder), Store(folder).read_results()):
        print(f"warning: {warning}", file=sys.stderr)
    print(page)
    if to:
        print(write_document(page.parent, to))


def _write_report(folder: Path, lang: str | None = None) -> Path:
    """Write the report while this process holds the folder."""
    from lorasweep.folder.holding import holding
    from lorasweep.folder.store import Store
    from lorasweep.report.page import write_report

    with holding(folder):
        Store(folder).remove_leftovers()
        return write_report(folder, lang)


def _load(study: str, overrides: list[str] | None) -> "Study":
    from lorasweep.study.study import Study

    return Study.load(study, overrides or ())


def _device() -> str:
    """Return where packs would be trained; torch, slow to load, is asked if there is a driver."""
    if shutil.which("nvidia-smi") is None:
        return "cpu"
    from lorasweep.model.machine import default_device

    return default_device()


def _print_plan(
    study: "Study", folder: Path, as_json: bool, measured: "Costs | None" = None
) -> None:
    from lorasweep.data.selection import look
    from lorasweep.forecast.remaining import forecast
    from lorasweep.hub.models import read_config
    from lorasweep.study.data_section import refuse_what_is_not_trained_yet
    from lorasweep.study.plan import make_plan, plan_json

    refuse_what_is_not_trained_yet(study.model, study.data, study.evaluate)
    planned = make_plan(study, read_config(study.model.base), _device())
    selection = look(study.data)
    if selection:
        planned.warnings.extend(selection.warnings)
    expected = forecast(planned, folder, measured)
    if as_json:
        estimated = {"estimate": expected.as_json() if expected else None}
        counts = {role: s.counts for role, s in selection.sets.items()} if selection else None
        print_json(json.dumps(plan_json(planned) | {"data": counts} | estimated, indent=1))
        return
    from lorasweep.cli.terminal import print_plan

    print_plan(planned, expected, selection)
