"""A worker: a job and packs come in; what one process trains and scores by one model goes out."""

__all__ = ["jobs", "worker"]
