"""An adapter merged into its base model's weights, in fp32, held against the adapter beside them.

Reference: Hu et al. 2021, arXiv:2106.09685: W + scale B A.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from lorasweep.data.trees import Tree
from lorasweep.errors import UserError
from lorasweep.model.base import freeze, load_model, load_tokenizer
from lorasweep.model.peft_format import SavedAdapter, answering_lane
from lorasweep.running.selfcheck import TOLERANCE, own_logits, training_logits

CPU = torch.device("cpu")


@torch.no_grad()
def merged_model(folder: Path, adapter: SavedAdapter, probe: Sequence[Tree]) -> PreTrainedModel:
    """Return a model folder's model in fp32 with an adapter in its weights.

    Raises UserError where its logits on the probe are not those of base model and adapter.
    """
    expected = _logits_beside(folder, adapter, probe)
    model = load_model(folder, CPU)
    merge(model, adapter)
    drift = float((own_logits(model, probe) - expected).abs().max())
    if not drift <= TOLERANCE:
        raise UserError(
            f"the merged weights' logits differ by {drift:.2g} from those of base model and "
            f"adapter, allowed {TOLERANCE:g}; nothing was written, export without --merged"
        )
    return model


def _logits_beside(folder: Path, adapter: SavedAdapter, probe: Sequence[Tree]) -> Tensor:
    """Return the logits [N, V] of the base model in fp32 with the adapter attached."""
    base = freeze(load_model(folder, CPU), load_tokenizer(folder))
    with base.adapted([answering_lane(adapter)]) as adapters:
        adapters.put(0, adapter.weights)
        return torch.cat([training_logits(base, [tree]) for tree in probe])


def merge(model: PreTrainedModel, adapter: SavedAdapter) -> None:
    """Add scale B A to the weights of every adapted module, in place."""
    for name, (A, B) in adapter.weights.items():
        module = model.get_submodule(name)
        delta = adapter.scale * (B @ A)
        # Conv1D stores [in, out].
        module.weight += delta.t() if isinstance(module, Conv1D) else delta  # type: ignore[operator]
