"""What it comes to, and where it ends."""

__all__ = ["discussion", "limitations"]
