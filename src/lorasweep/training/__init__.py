"""Training: a model with lanes and batches of rows come in; trained lanes, histories go out."""

__all__ = ["checkpoint", "hooks", "lanes", "loss", "race", "train"]
