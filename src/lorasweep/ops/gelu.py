"""GPT-2's GELU in one operation.

transformers takes it step by step, which reads and writes the activations eight times and keeps
most of the steps for the backward pass; its module is the reference. In fp16 the steps also leave
the range: the derivative is 3 x^2 times 0 for a large x, infinite from 148 on, so not a number. In
one operation it goes through fp32.
"""

from torch import nn
from transformers import PreTrainedModel
from transformers.activations import NewGELUActivation


def fuse_gelus(model: PreTrainedModel) -> None:
    """Replace a model's step-by-step tanh GELUs (arXiv:1606.08415) by torch's own."""
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if isinstance(module, NewGELUActivation):
            model.set_submodule(name, nn.GELU(approximate="tanh"))
