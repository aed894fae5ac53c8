"""Words: numbers and terms come in; sentences in the reader's language go out."""

__all__ = ["language", "sentences", "terms"]
