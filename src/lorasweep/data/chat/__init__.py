"""Turns of a chat and a tokenizer's own template come in; a prompt's and an answer's ids go out."""

__all__ = ["encoding", "rendering", "templates"]
