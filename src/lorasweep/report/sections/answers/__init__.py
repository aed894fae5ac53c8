"""What the runs answer, and why answers are wrong."""

__all__ = ["answers", "failures", "predictions"]
