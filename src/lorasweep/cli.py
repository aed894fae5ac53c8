"""The command line: one thin function per command; what it needs is imported when it runs."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from lorasweep.errors import UserError

if TYPE_CHECKING:
    from lorasweep.study import Study

INTERRUPTED = 130

app = typer.Typer(
    help="Train a whole grid of LoRA adapters at once, and know which one really won.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
models_app = typer.Typer(help="Base models: list, fetch, find.", no_args_is_help=True)
app.add_typer(models_app, name="models")

StudyArgument = Annotated[str, typer.Argument(help="A study file, or a shipped study's name.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change one value of the study."),
]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Folder = Annotated[Path, typer.Argument(help="A study's folder.")]
PredictionsArgument = Annotated[
    Path, typer.Argument(help="Predictions in SQuAD's form: {id: answer}.")
]
DATA_HELP = "A SQuAD .json file, a .jsonl file, bundled, or hub:NAME:SPLIT."


@app.command()
def run(
    study: StudyArgument,
    out: Annotated[Path | None, typer.Option(help="The folder; default out/NAME.")] = None,
    set_: SetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train, score and report whatever a study still lacks in its folder."""
    loaded = _load(study, set_)
    if dry_run:
        _print_plan(loaded, as_json)
        return
    from lorasweep.driver import run as run_study
    from lorasweep.terminal import print_leaderboard, reporting

    folder = out or Path("out") / loaded.name
    with reporting(quiet) as reporter:
        results = run_study(loaded, folder, reporter)
    if as_json:
        print(results.model_dump_json(by_alias=True, indent=1))
    elif not quiet:
        print_leaderboard(results, folder, loaded.evaluate.decoders)


@app.command()
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
    from lorasweep.driver import decode as decode_study
    from lorasweep.terminal import print_leaderboard, reporting

    with reporting(quiet) as reporter:
        results = decode_study(folder, decoder, reporter)
    if as_json:
        print(results.model_dump_json(by_alias=True, indent=1))
    elif not quiet:
        print_leaderboard(results, folder, decoder)


@app.command()
def plan(study: StudyArgument, set_: SetOption = None, as_json: JsonOption = False) -> None:
    """Show what a study comes to: configurations, runs, packs and warnings; nothing is loaded."""
    _print_plan(_load(study, set_), as_json)


@app.command()
def analyse(folder: Folder, as_json: JsonOption = False) -> None:
    """Analyse a study's records anew, without training, and write the report."""
    from lorasweep.report import write_report
    from lorasweep.results import analyse_folder
    from lorasweep.terminal import print_leaderboard

    results = analyse_folder(folder)
    write_report(folder)
    if as_json:
        print(results.model_dump_json(by_alias=True, indent=1))
    else:
        print_leaderboard(results, folder, ["greedy"])


@app.command()
def report(folder: Folder) -> None:
    """Write the report of a study's folder anew."""
    from lorasweep.report import write_report

    print(write_report(folder))


@models_app.command("list")
def models_list() -> None:
    """List the base models that are known or on this machine."""
    from lorasweep.models import list_models
    from lorasweep.terminal import print_models

    print_models(list_models())


@models_app.command("pull")
def models_pull(name: Annotated[str, typer.Argument(help="smollm2-135m, or a Hub id.")]) -> None:
    """Fetch a base model once."""
    from lorasweep.pull import pull

    print(pull(name))


@models_app.command("path")
def models_path(name: Annotated[str, typer.Argument(help="An alias, folder or Hub id.")]) -> None:
    """Print the folder that transformers loads."""
    from lorasweep.models import locate

    print(locate(name))


@app.command()
def score(
    predictions: PredictionsArgument,
    data: Annotated[str, typer.Argument(help=DATA_HELP)],
    as_json: JsonOption = False,
) -> None:
    """Score any system's predictions: EM and F1 with intervals."""
    from lorasweep.scoring import score_file

    scored = score_file(predictions, data)
    if as_json:
        print(json.dumps(scored.as_json(), indent=1))
        return
    from lorasweep.scoring_text import print_score

    print_score(scored)


@app.command()
def compare(
    a: PredictionsArgument,
    b: PredictionsArgument,
    data: Annotated[str, typer.Option(help=DATA_HELP)],
    as_json: JsonOption = False,
) -> None:
    """Say whether one system's predictions are better than another's on the same questions."""
    from lorasweep.scoring import compare_files

    compared = compare_files(a, b, data)
    if as_json:
        print(json.dumps(compared.as_json(), indent=1))
        return
    from lorasweep.scoring_text import print_comparison

    print_comparison(compared)


def main() -> NoReturn:
    """Run the command line; a user's mistake is one message and exit code 2."""
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer's exit code for KeyboardInterrupt
            print("stopped: what is finished is kept; the same command goes on", file=sys.stderr)
        raise
    sys.exit(0)


def _load(study: str, overrides: list[str] | None) -> "Study":
    from lorasweep.study import Study

    return Study.load(study, overrides or ())


def _print_plan(study: "Study", as_json: bool) -> None:
    from lorasweep.models import read_config
    from lorasweep.plan import make_plan, plan_json

    planned = make_plan(study, read_config(study.model.base))
    if as_json:
        print(json.dumps(plan_json(planned), indent=1))
        return
    from lorasweep.terminal import print_plan

    print_plan(planned)
