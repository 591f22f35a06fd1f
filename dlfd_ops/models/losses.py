"""The loss of a sample: what training minimises, unlearning moves, and a membership attacker reads."""

from __future__ import annotations

from torch import Tensor, nn


def sample_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of every sample in nats, (B,) float32.

    Cross-entropy for (B,) int64 class targets; the mean of the binary cross-entropies over the labels for (B, L)
    float32 targets of 0 and 1.
    """
    logits = logits.float()
    if targets.dim() == 1:
        return nn.functional.cross_entropy(logits, targets, reduction="none")
    return nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1)
