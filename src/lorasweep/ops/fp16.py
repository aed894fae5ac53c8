"""fp16 ends at 65,504: what keeps a model's own operations from leaving it for no reason.

None of it costs time, and the sums and functions stay what they are.
"""

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.activations import NewGELUActivation


def keep_in_range(model: PreTrainedModel) -> None:
    """Let a model's operations pass through fp32 where they would be infinite in fp16."""
    # A card may split a product and add its parts up in fp16 otherwise.
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if isinstance(module, NewGELUActivation):
            # Taken step by step, its derivative is 3 x^2 times 0 for a large x: infinite from 148
            # on, so not a number. In one operation it goes through fp32.
            model.set_submodule(name, nn.GELU(approximate="tanh"))
