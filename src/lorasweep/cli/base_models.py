"""Commands on base models: list, fetch, find."""

from typing import Annotated

import typer

models_app = typer.Typer(help="Base models: list, fetch, find.", no_args_is_help=True)


@models_app.command("list")
def models_list() -> None:
    """List the base models that are known or on this machine."""
    from lorasweep.cli.terminal import print_models
    from lorasweep.hub.models import list_models

    print_models(list_models())


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
