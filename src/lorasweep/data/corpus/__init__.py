"""Corpora of our own: a name such as "bundled:chat" comes in; the file of its rows goes out."""

__all__ = ["bundled"]
