"""Examples: files, Hub sets, bundled corpora come in; groups of examples and rows go out."""

__all__ = [
    "chat",
    "corpus",
    "cuts",
    "encoding",
    "examples",
    "selection",
    "sources",
    "squad",
    "trees",
]
