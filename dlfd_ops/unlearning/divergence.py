"""How far predictions are from those of a teacher."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def divergence(taught: Tensor, logits: Tensor, *, multi_label: bool) -> Tensor:
    """Return the mean Kullback-Leibler divergence of the predictions from the taught ones, KL(taught || predicted).

    Over the classes of a single label; of several binary labels the mean of their Bernoulli divergences, as their loss
    is the mean of their cross-entropies.

    Args:
        taught: (B, C) logits of the teacher.
        logits: (B, C) logits that learn.
        multi_label: whether the C outputs are binary labels.

    Returns:
        A scalar in nats, float32, at least 0.
    """
    taught, logits = taught.float(), logits.float()
    if multi_label:
        taught = torch.stack([nn.functional.logsigmoid(taught), nn.functional.logsigmoid(-taught)], dim=2)
        logits = torch.stack([nn.functional.logsigmoid(logits), nn.functional.logsigmoid(-logits)], dim=2)
    else:
        taught, logits = taught.log_softmax(dim=1).unsqueeze(1), logits.log_softmax(dim=1).unsqueeze(1)
    return (taught.exp() * (taught - logits)).sum(dim=2).mean()
