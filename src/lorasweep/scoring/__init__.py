"""Scores: answers and references come in; marks with intervals and tests go out."""

__all__ = ["answer_scores", "failures", "metrics", "prediction_files", "rules", "scorers", "stats"]
