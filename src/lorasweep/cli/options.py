"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

# As in `lorasweep.study.study`, which is slow to import before a command runs.
Unit = Literal["paragraph", "article"]
CLUSTERS_HELP = "What intervals and tests take for independent"

RUN_HELP = "A run: its id, its label, the beginning of one, or best"

StudyArgument = Annotated[str, typer.Argument(help="A study file, or a shipped study's name.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change one value of the study."),
]
OutOption = Annotated[Path | None, typer.Option(help="The folder; default out/NAME.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Folder = Annotated[Path, typer.Argument(help="A study's folder.")]
