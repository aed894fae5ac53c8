"""Operations of the frozen base model: a plain-torch reference, and faster ones where they pay."""

__all__ = [
    "allocator",
    "attention",
    "fp16",
    "frozen",
    "gelu",
    "hashing",
    "noise",
    "packed",
    "read_rows",
    "rms_norm",
]
