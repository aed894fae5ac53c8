"""fp16 ends at 65,504: what keeps sums from leaving it for no reason."""

import torch


def keep_sums_in_range() -> None:
    """Let a card that splits a product add its parts up in fp32."""
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
