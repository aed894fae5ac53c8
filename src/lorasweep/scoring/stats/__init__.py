"""The statistics of comparing runs on the same questions: scores by cluster in, claims out."""

__all__ = [
    "ablation",
    "all_pairs",
    "clusters",
    "confidence_set",
    "edges",
    "gap",
    "intervals",
    "paired",
    "power",
    "seeds",
]
