"""The command line: one thin function per command; what it needs is imported when it runs."""

import sys
from typing import Annotated, NoReturn

import typer

from lorasweep.cli.asking import ask, show
from lorasweep.cli.base_models import models_app
from lorasweep.cli.scoring import compare, score
from lorasweep.cli.sharing import export, import_
from lorasweep.cli.studies import (
    analyse,
    check,
    decode,
    failures,
    plan,
    report,
    resume,
    run,
    status,
)
from lorasweep.console.outputs import never_fail_to_print
from lorasweep.console.plain_text import visible
from lorasweep.errors import UserError

INTERRUPTED = 130
NEEDS_LESS = (
    "a smaller recipe.micro_batch or data.max_tokens needs less; what is finished is kept, and the "
    "same command goes on"
)

app = typer.Typer(
    help="Train a whole grid of LoRA adapters at once, and know which one really won.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _say_version(is_asked: bool) -> None:
    if is_asked:
        # Only here: it takes as long as all else that --help needs.
        from importlib.metadata import version

        print(f"lorasweep {version('lorasweep')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


for command in (
    run, decode, resume, plan, status, check, analyse, failures, report, ask, export, import_,
    score, compare,
):  # fmt: skip
    app.command(command.__name__.rstrip("_"))(command)
app.command("app")(show)
app.add_typer(models_app, name="models")


def main() -> NoReturn:
    """Run the command line; a user's mistake is one message and exit code 2."""
    never_fail_to_print()
    try:
        app()
    except (UserError, OSError) as error:
        _refuse(str(error))
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        first_line = str(error).partition("\n")[0]
        _refuse(f"not enough memory ({first_line}); {NEEDS_LESS}")
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer's exit code for KeyboardInterrupt
            print("stopped: what is finished is kept; the same command goes on", file=sys.stderr)
        raise
    sys.exit(0)


def _refuse(message: str) -> NoReturn:
    print(f"error: {visible(message)}", file=sys.stderr)
    sys.exit(2)


def _is_out_of_memory(error: Exception) -> bool:
    # Only here: torch takes seconds to import.
    from lorasweep.model.machine import is_out_of_memory

    return is_out_of_memory(error)
