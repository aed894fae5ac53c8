"""Adapters to and from others: a run goes out with its card, an adapter of PEFT comes in."""

__all__ = ["export", "importing"]
