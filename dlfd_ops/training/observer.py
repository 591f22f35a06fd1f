"""What watches a training run; the loop never asks whether tracking is on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class TrainingObserver(Protocol):
    """Receives the numbers of a run; called on rank 0 only."""

    def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Receive the metrics of optimiser step ``step`` (from 1)."""

    def on_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Receive the metrics of the last step of epoch ``epoch`` (from 1), of the first process's batch."""


class SilentObserver:
    """Watches nothing."""

    def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Do nothing."""

    def on_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Do nothing."""


class Observers:
    """Hands every call to several observers, in order."""

    def __init__(self, observers: Sequence[TrainingObserver]) -> None:
        self._observers = tuple(observers)

    def on_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Hand the metrics of a step to every observer."""
        for observer in self._observers:
            observer.on_step(step, metrics)

    def on_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Hand the metrics at the end of an epoch to every observer."""
        for observer in self._observers:
            observer.on_epoch(epoch, metrics)
