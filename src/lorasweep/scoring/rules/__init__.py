"""Rules of exact match and F1 by data set: an answer and its references come in; marks go out."""

__all__ = ["listed", "no_answers", "rules"]
