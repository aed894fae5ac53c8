"""Files, Hub sets and the bundled corpora come in; their rows, or a nested object, go out."""

__all__ = ["files", "hub", "json_text", "reading"]
