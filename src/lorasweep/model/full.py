"""Full fine-tuning: all of a model's weights as one lane of a pack.

Shapes: P numbers of the model; everything is [1, P], a pack of one lane.
Memory: 16 bytes a number in fp32 (value, gradient, and AdamW's two moments), beside activations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from lorasweep.model.generation import answer_as_scored
from lorasweep.model.lora import Lane, TreeDropout


class FullWeights:
    """A model's weights as views into one flat buffer, with the face of `lora.Adapters`.

    Tied weights are there once. Weights keep the model's precision, which is fp32 or higher.
    """

    def __init__(self, lane: Lane, model: PreTrainedModel) -> None:
        self.lanes: tuple[Lane, ...] = (lane,)
        self.dropout: TreeDropout | None = None
        parameters = list(model.parameters())
        width = sum(p.numel() for p in parameters)
        self.values_KP = parameters[0].new_empty(1, width, requires_grad=False)
        self.gradients_KP = torch.zeros_like(self.values_KP)
        place = 0
        for parameter in parameters:
            end = place + parameter.numel()
            view = self.values_KP[0, place:end].view(parameter.shape)
            view.copy_(parameter.detach())
            parameter.data = view
            parameter.grad = self.gradients_KP[0, place:end].view(parameter.shape)
            place = end

    def learning_rates(self) -> Tensor:
        """Return the one learning rate [1, 1]."""
        return self.values_KP.new_tensor([[self.lanes[0].lr]])

    def keep(self, kept: Sequence[int]) -> None:
        """Do nothing: the one lane has no neighbours to let go of."""
        assert list(kept) == [0]

    def numbers_of(self, k: int) -> slice:
        """Return where the lane's numbers are: its whole row."""
        return slice(None)

    def accumulate(self, loss: Tensor) -> None:
        """Add the gradients of a scalar loss to `gradients_KP`."""
        torch.autograd.backward(loss)


@dataclass(frozen=True, slots=True)
class SavedModel:
    """A fully trained model with its tokenizer, and how long the answers were that it gave."""

    model: PreTrainedModel
    tokenizer: Any
    max_new_tokens: int | None = None

    def save(self, folder: Path) -> None:
        """Write a folder that transformers loads: config, safetensors and tokenizer."""
        answer_as_scored(self.model, self.tokenizer, self.max_new_tokens)
        # safetensors refuses views of one buffer, and tied weights must stay one tensor.
        own: dict[int, Tensor] = {}
        state = self.model.state_dict()
        for tensor in state.values():
            own.setdefault(tensor.data_ptr(), tensor.clone())
        copies = {name: own[tensor.data_ptr()] for name, tensor in state.items()}
        self.model.save_pretrained(folder, state_dict=copies)
        self.tokenizer.save_pretrained(folder)
