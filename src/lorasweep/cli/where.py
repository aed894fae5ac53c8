"""Where packs run: the options --executor and --address, and the executor that they name."""

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lorasweep.errors import UserError

if TYPE_CHECKING:
    from lorasweep.running.executors.executor import Executor

ExecutorOption = Annotated[
    Literal["local", "ray"], typer.Option(help="Where packs run: in this process, or on Ray.")
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        metavar="auto|HOST:PORT", help="The Ray cluster; default: a Ray of this machine alone."
    ),
]


def chosen_executor(name: str, address: str | None) -> "AbstractContextManager[Executor]":
    """Return what gives the executor; raises UserError for an address without Ray."""
    if name == "ray":
        from lorasweep.running.executors.ray import connected

        return connected(address)
    if address is not None:
        raise UserError("--address is for --executor ray")
    from lorasweep.running.executors.local import HERE

    return nullcontext(HERE)
