"""What a user asks: a study file comes in; checked settings, runs and packs go out."""

__all__ = [
    "as_file",
    "data_section",
    "decoders",
    "fingerprint",
    "forms",
    "grid",
    "plan",
    "scorers",
    "sections",
    "study",
]
