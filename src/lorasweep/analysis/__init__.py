"""From records to what they show: which runs may be best, what each axis does, what goes wrong."""

__all__ = ["ablation", "failures", "gaps", "naming", "questions", "results"]
