"""Decoding: prompts computed once come in; the answers of any decoder, in lockstep, go out."""

__all__ = ["answers", "prompts", "rows", "strategies"]
