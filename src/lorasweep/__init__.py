"""Train a whole grid of LoRA adapters at once, and know which one really won."""
