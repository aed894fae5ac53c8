"""The loss: the negative log-likelihood of answer tokens, lane by lane.

Shapes: K lanes, N supervised positions of a micro-batch, V vocabulary.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from lorasweep.data.trees import Rows
from lorasweep.model.base import Base


def answer_losses(base: Base, rows: Rows, num_lanes: int) -> Tensor:
    """Return each lane's negative log-likelihood [K, N] of every answer token, in nats."""
    hidden_KNd = base.hidden_at_answers(rows, num_lanes)
    logits_KNV = base.head(hidden_KNd)
    wide = logits_KNV.to(torch.promote_types(logits_KNV.dtype, torch.float32)).flatten(0, 1)
    labels = rows.labels_N.repeat(num_lanes)
    return F.cross_entropy(wide, labels, reduction="none").view(num_lanes, -1)


def answer_loss(base: Base, rows: Rows, num_lanes: int) -> Tensor:
    """Return each lane's summed negative log-likelihood [K] of the answer tokens, in nats."""
    return answer_losses(base, rows, num_lanes).sum(1)
