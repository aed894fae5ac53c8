"""Hub sets: a name with a split comes in; its rows go out, from the cache or a local folder too."""

import re
from collections.abc import Iterable
from typing import Any

from lorasweep.errors import UserError

PREFIX = "hub:"
# the split may be a slice, with a colon of its own: train[:100]
HUB = re.compile(r"hub:(?P<name>[^:]+):((?P<config>[^:[]+):)?(?P<split>[^:[]+(\[[^]]*\])?)")
OFFLINE = (
    "to work without a network, set HF_HUB_OFFLINE=1 with the set in the cache, or name a local "
    "folder (hub:FOLDER:SPLIT) or files"
)


def hub_rows(source: str, name: str, config: str | None, split: str) -> Iterable[dict[str, Any]]:
    """Load a split of a Hub data set or of a local folder laid out as one."""
    import datasets

    try:
        rows: Iterable[dict[str, Any]] = datasets.load_dataset(name, config, split=split)
    except ConnectionError as error:
        raise UserError(f"{source}: {error}; {OFFLINE}") from None
    except Exception as error:  # the client lets its transport's own errors through
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{source}: {reason}") from None
    return rows
