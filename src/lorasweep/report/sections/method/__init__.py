"""How the study was made, and how it is made again."""

__all__ = ["data", "grid", "lora", "method", "references", "reproduce", "works"]
