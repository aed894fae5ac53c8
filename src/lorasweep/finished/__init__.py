"""What one does with a finished study: ask it, share its adapters, bring in those of others."""

__all__ = ["asking", "checking", "sharing", "wrong_answers"]
