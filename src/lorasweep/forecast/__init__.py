"""Time and memory: a plan and what was measured come in; what is left and its time go out."""

__all__ = ["estimate", "remaining", "status"]
