"""Why answers are wrong: answers come in; a class for each, groups and changes go out."""

__all__ = ["breakdown", "classes", "question_types", "spans"]
