"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from lorasweep.errors import UserError

# As in `lorasweep.study.study`, which is slow to import before a command runs.
Unit = Literal["paragraph", "article"]
CLUSTERS_HELP = "What intervals and tests take for independent"

RUN_HELP = "A run: its id, its label, the beginning of one, or best"


def _folder(name: str) -> Path:
    """Return a folder; an empty name, as of a variable that is not set, would be this folder."""
    if not str(name).strip():
        raise UserError("a folder's name is empty; the present folder is .")
    return Path(name)


StudyArgument = Annotated[str, typer.Argument(help="A study file, or a shipped study's name.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change one value of the study."),
]
OutOption = Annotated[
    Path | None,
    typer.Option(parser=_folder, metavar="<path>", help="The folder; default out/NAME."),
]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Folder = Annotated[Path, typer.Argument(parser=_folder, help="A study's folder.")]
