"""Answers: a model with lanes and prompts come in; losses and decoded answers go out."""

__all__ = ["decode", "evaluate"]
