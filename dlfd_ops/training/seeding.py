"""Randomness that depends on the step alone, so that a resumed run draws what an unbroken one would."""

from __future__ import annotations

import torch


def seed_step(seed: int, step: int, rank: int) -> None:
    """Seed torch's global generators for one step of one process (dropout, augmentation)."""
    torch.manual_seed((seed * 1_000_003 + step) * 4_099 + rank)
