"""Examples: files, Hub sets, the bundled corpus come in; questions, rows for the model go out."""

__all__ = ["chat", "cuts", "squad", "trees"]
