"""Parity: whether one set of losses lies below another by rank, and targets that make up for it."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def log_odds_of_easier(losses: Tensor, others: Tensor) -> float:
    """Return the log odds that one of (N,) ``losses`` lies below one of (M,) ``others``; 0 is parity, ties count half.

    Half a loss is added on either side: so few are sure of nothing, and the odds stay finite. With nothing to compare
    there is parity.
    """
    if not len(losses) or not len(others):
        return 0.0
    ranked = others.sort().values
    above = len(others) - torch.searchsorted(ranked, losses, right=True)
    tied = torch.searchsorted(ranked, losses, right=True) - torch.searchsorted(ranked, losses)
    easier = float((above.double() + 0.5 * tied.double()).sum()) / len(others)
    return math.log((easier + 0.5) / (len(losses) - easier + 0.5))


def with_lower_odds(logits: Tensor, targets: Tensor, log_odds: float) -> Tensor:
    """Return (N, C) logits whose odds of what is true are lower by ``log_odds``, the odds among the rest as they were.

    Args:
        logits: (N, C).
        targets: (N,) int64 classes, or (N, C) float32 of 0 and 1 for several binary labels.
        log_odds: in nats; negative makes them higher.
    """
    if targets.dim() == 2:
        return logits - log_odds * (2 * targets - 1)
    true = torch.zeros_like(logits).scatter_(1, targets[:, None], 1.0)
    return logits - log_odds * true
