"""The base model with adapters in it: lanes and rows come in; hidden states, logits go out."""

__all__ = [
    "base",
    "full",
    "generation",
    "lora",
    "machine",
    "ops",
    "peft_config",
    "peft_format",
    "reading",
]
