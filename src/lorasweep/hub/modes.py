"""Modes of the files that we write: whoever the umask lets may read them."""

import stat
from contextlib import suppress
from pathlib import Path


def open_as_the_umask_says(folder: Path) -> None:
    """Give all files of a folder that was made here the mode that the umask leaves.

    Safetensors writes through a private temporary file, which nobody else may read.
    """
    mode = folder.stat().st_mode & 0o666  # mkdir has asked the umask
    for file in folder.rglob("*"):
        if file.is_file() and not file.is_symlink():
            set_mode(file, mode)


def set_mode(file: Path, mode: int) -> None:
    """Set a file's mode, where the file system knows modes."""
    with suppress(OSError):
        file.chmod(stat.S_IMODE(mode))
