"""The command line: one thin function per command; what it needs is imported when it runs."""

import sys
from typing import NoReturn

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
from lorasweep.errors import UserError

INTERRUPTED = 130
NEEDS_LESS = (
    "a smaller recipe.micro_batch or data.max_tokens needs less; what is finished is kept, and the "
    "same command goes on"
)

app = typer.Typer(
    help="Train a whole grid of LoRA adapters at once, and know which one really won.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    run, decode, resume, plan, status, check, analyse, failures, report, ask, export, import_,
    score, compare,
):  # fmt: skip
    app.command(command.__name__.rstrip("_"))(command)
app.command("app")(show)
app.add_typer(models_app, name="models")


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
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        first_line = str(error).partition("\n")[0]
        print(f"error: not enough memory ({first_line}); {NEEDS_LESS}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer's exit code for KeyboardInterrupt
            print("stopped: what is finished is kept; the same command goes on", file=sys.stderr)
        raise
    sys.exit(0)


def _is_out_of_memory(error: Exception) -> bool:
    # Only here: torch takes seconds to import.
    from lorasweep.model.machine import is_out_of_memory

    return is_out_of_memory(error)
