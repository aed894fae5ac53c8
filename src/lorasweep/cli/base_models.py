"""Commands on base models: list, fetch, find."""

import json
from typing import Annotated

import typer

from lorasweep.cli.options import JsonOption
from lorasweep.console.outputs import print_json

models_app = typer.Typer(
    help="""Base models: list, fetch, find.

    Pulled models, and what calibrations have measured, lie in ~/.cache/lorasweep, or in lorasweep/
    below XDG_CACHE_HOME, or in the folder that LORASWEEP_HOME names. Models of the Hub lie in its
    own cache (HF_HOME).
    """,
    no_args_is_help=True,
)


@models_app.command("list")
def models_list(as_json: JsonOption = False) -> None:
    """List the base models known or on this machine.

    Those in the Hub's cache are among them.
    """
    from lorasweep.cli.terminal import print_models
    from lorasweep.hub.models import list_models

    found = list_models()
    if as_json:
        print_json(json.dumps([model.as_json() for model in found], indent=1))
    else:
        print_models(found)


@models_app.command("pull")
def models_pull(name: Annotated[str, typer.Argument(help="smollm2-135m, or a Hub id.")]) -> None:
    """Fetch a base model once."""
    from lorasweep.hub.pull import pull

    print(pull(name))


@models_app.command("path")
def models_path(name: Annotated[str, typer.Argument(help="An alias, folder or Hub id.")]) -> None:
    """Print the folder that transformers loads."""
    from lorasweep.hub.models import locate

    print(locate(name))
