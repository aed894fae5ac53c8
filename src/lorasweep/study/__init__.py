"""What a user asks: a study file comes in; checked settings, runs and packs go out."""

__all__ = ["as_file", "decoders", "fingerprint", "grid", "plan", "scorers", "sections", "study"]
