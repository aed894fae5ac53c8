"""The one exception that stands for a mistake of the user, and the nearest right value."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A mistake in a study, model, data file or flag: one clear message, exit code 2."""


def nearest(value: str, known: Iterable[str]) -> str:
    """Return "; did you mean ...?" for the nearest known value, or what is known if none is."""
    options = sorted(set(known))
    close = get_close_matches(value, options, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(options)}" if options else ""


def quoted(value: object, longest: int = 80) -> str:
    """Return a value of others as Python writes it, in one line of bounded length."""
    text = repr(value)
    return text if len(text) <= longest else f"{text[:longest]}..."


def how_to_install(extra: str) -> str:
    """Return the lines that add what an extra of the package needs."""
    return (
        f"in a clone: pip install -e '.[{extra}]'; "
        f"beside a wheel: pip install 'lorasweep-VERSION-py3-none-any.whl[{extra}]'"
    )
