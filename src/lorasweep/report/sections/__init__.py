"""The sections of the report: an outcome comes in; blocks of text, figures, tables go out."""

__all__ = ["method", "order"]
