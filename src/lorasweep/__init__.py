"""Train a whole grid of LoRA adapters at once, and know which one really won.

    from lorasweep import Study, run

    results = run(Study.load("quickstart"), "out/quickstart")

Names are loaded when they are first used, so that the command line answers at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lorasweep.errors import UserError as UserError
    from lorasweep.report.notebook import Results as Results
    from lorasweep.running.driver import resume as resume
    from lorasweep.running.driver import run as run
    from lorasweep.study.study import Study as Study

_HOMES = {
    "Results": "lorasweep.report.notebook",
    "Study": "lorasweep.study.study",
    "UserError": "lorasweep.errors",
    "resume": "lorasweep.running.driver",
    "run": "lorasweep.running.driver",
}

__all__ = ["Results", "Study", "UserError", "resume", "run"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lorasweep' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
