"""Running a study: a study and a folder come in; what the folder lacks is computed into it."""

__all__ = ["calibration", "driver", "executors", "joining", "kept", "selfcheck"]
