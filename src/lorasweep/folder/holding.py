"""Who is at work in a study's folder: one process holds it, and others can see that."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lorasweep.errors import UserError
from lorasweep.folder.files import HELD, identity_of

BUSY = ".busy"
# How long a new process waits, since `status` holds the mark for a moment to see if it is held.
SECONDS_OF_A_LOOK = 0.5


@contextmanager
def holding(out: Path) -> Iterator[None]:
    """Hold a folder for this process; raises UserError where another one has it.

    A folder that was made for this and in which nothing was written is removed again.
    """
    # Imported here: no command that only reads needs it.
    from filelock import FileLock, Timeout

    is_new = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        with FileLock(out / BUSY, timeout=SECONDS_OF_A_LOOK):
            identity = identity_of(out / BUSY)
            assert identity is not None, "the lock has made the file"
            HELD[out] = out / BUSY, identity
            try:
                yield
            finally:
                del HELD[out]
                if identity_of(out / BUSY) == identity:
                    _leave(out)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"{out}: this is a file; a study needs a folder") from None
    except Timeout:
        raise UserError(f"{out}: another lorasweep is at work in this folder") from None
    finally:
        if is_new and out.is_dir() and not any(out.iterdir()):
            out.rmdir()


def _leave(out: Path) -> None:
    """Remove the mark of a process at work, while nobody else can have it."""
    with suppress(OSError):  # Windows keeps an open file; a folder may be read-only by now
        (out / BUSY).unlink()


def is_held(out: Path) -> bool:
    """Say whether a process is at work in a folder; a mark that a kill left does not count.

    Where the folder cannot be written to, nobody is.
    """
    if not (out / BUSY).exists():
        return False
    from filelock import FileLock, Timeout

    try:
        with FileLock(out / BUSY, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False
