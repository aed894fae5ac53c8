"""The base model with adapters in it: lanes and rows come in; hidden states and logits go out."""
