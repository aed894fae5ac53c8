"""The report: a finished folder comes in; one page, a written report, figures, tables go out."""

__all__ = ["notebook", "page", "papers"]
