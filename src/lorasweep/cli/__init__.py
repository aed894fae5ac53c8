"""The command line: one thin function per command; what it needs is imported when it runs."""

__all__ = ["main"]
