"""How training went: losses, overfitting, the race, health."""

__all__ = ["health", "losses", "overfitting", "race"]
