"""Scores: answers and references come in; marks with intervals and tests go out."""
