"""What the runs score, which may be best, and what each axis does."""

__all__ = ["ablation", "comparisons", "cost", "decoding", "full", "gain", "scores", "top"]
