"""A study's folder as types and files: what is decided, measured, found comes in, and stays."""

__all__ = [
    "files",
    "findings",
    "halving",
    "heartbeat",
    "holding",
    "records",
    "run_files",
    "scores",
    "store",
    "stored",
    "sums",
]
