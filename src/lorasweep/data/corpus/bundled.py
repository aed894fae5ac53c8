"""The files of the corpora that come with the package under names of their own."""

from pathlib import Path

from lorasweep.errors import UserError, nearest

PREFIX = "bundled:"
FOLDER = Path(__file__).parent / "named"


def is_named(source: str) -> bool:
    """Say whether a data source names one of these corpora, rather than a file."""
    return source.startswith(PREFIX)


def bundled_names() -> list[str]:
    """Return the names that a study may give: "bundled:chat" and its like."""
    return sorted(f"{PREFIX}{file.stem}" for file in FOLDER.iterdir() if file.suffix != ".md")


def bundled_file(name: str) -> Path:
    """Return the file that holds the rows of a named corpus; UserError names the nearest name."""
    names = bundled_names()
    if name not in names:
        raise UserError(f"no bundled corpus {name!r}{nearest(name, names)}")
    stem = name.removeprefix(PREFIX)
    return next(file for file in FOLDER.iterdir() if file.stem == stem)
