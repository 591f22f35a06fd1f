"""The loss of a sample: what training minimises, unlearning moves, and a membership attacker reads."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def sample_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of every sample in nats, (B,) float32, or float64 where the logits are.

    Cross-entropy for (B,) int64 class targets; the mean of the binary cross-entropies over the labels for (B, L)
    targets of 0 and 1. In float32 the losses of samples that a model is sure of are all exactly 0: enough to train
    with, and too coarse to rank them by.
    """
    logits = logits if logits.dtype == torch.float64 else logits.float()
    if targets.dim() == 1:
        return nn.functional.cross_entropy(logits, targets, reduction="none")
    binary = nn.functional.binary_cross_entropy_with_logits
    return binary(logits, targets.to(logits.dtype), reduction="none").mean(dim=1)
