"""Schedules of the unlearning epoch: small callable values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Linear:
    """A weight that moves linearly with the progress of the epoch: w(t) of classification preservation.

    Attributes:
        start: value at progress 0.
        end: value at progress 1.
    """

    start: float
    end: float

    def __call__(self, progress: float) -> float:
        """Return the weight at ``progress``, which is clamped to [0, 1]."""
        clamped = min(max(progress, 0.0), 1.0)
        return self.start + (self.end - self.start) * clamped


@dataclass(frozen=True)
class DynamicForgetting:
    """When to push: while the probe's forgetting score is above a threshold.

    Attributes:
        threshold: of the forgetting score, between -1 (push always) and 0.5.
        every: optimiser steps between two probes.
    """

    threshold: float
    every: int

    def probe_due(self, step: int) -> bool:
        """Whether the probe runs before step ``step`` (from 0)."""
        return step % self.every == 0

    def push(self, forgetting_score: float) -> bool:
        """Whether to push on after a probe that found ``forgetting_score``."""
        return forgetting_score > self.threshold
