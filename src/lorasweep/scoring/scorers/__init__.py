"""Scorers: an answer and its example come in; a number goes out, a corpus score from many."""

__all__ = ["bits", "listed", "scorer"]
