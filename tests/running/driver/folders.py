"""What a folder holds."""

from pathlib import Path

from lorasweep import Results


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def results_of(out: Path) -> Results:
    return Results.load(out)
