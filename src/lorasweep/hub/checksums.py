"""The SHA-256 of a file, as checksum files, records and reports hold it."""

import hashlib
from pathlib import Path


def sha256_of(file: Path) -> str:
    """Return a file's SHA-256 in hexadecimal digits; it is read piece by piece."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
