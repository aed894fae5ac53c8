"""What people see of a run: steps and lines come in; progress and the wish to stop go out."""

__all__ = ["outputs", "plain_text", "printing", "progress", "stopping"]
