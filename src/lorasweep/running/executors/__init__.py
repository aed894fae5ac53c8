"""Where packs run: packs of a lock come in; finished runs go out, from here or a Ray cluster."""

__all__ = ["executor", "local", "ray"]
