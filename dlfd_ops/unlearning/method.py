"""What every unlearning method is: an objective over a retain batch beside a forget batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.models.classifier import Classifier
from dlfd_ops.training.loop import StepLoss


@dataclass(frozen=True)
class Batch:
    """Labelled images on the device.

    Attributes:
        images: (B, 3, S, S) floats in [0, 1].
        targets: (B,) int64, or (B, L) float32 for several binary labels.
        indices: (B,) int64, the samples' places in the set that they come from.
    """

    images: Tensor
    targets: Tensor
    indices: Tensor


@dataclass(frozen=True)
class UnlearningStep:
    """What a method sees of one step, on this process.

    Attributes:
        retain: this process's share of the retain batch.
        forget: this process's share of the forget batch.
        anchor: this process's share of a batch of people that the original never trained on.
        step: from 0.
        progress: of the run, from 0 to below 1.
        push: whether to push the forget set away (the dynamic schedule); otherwise only repair.
    """

    retain: Batch
    forget: Batch
    anchor: Batch
    step: int
    progress: float
    push: bool


@dataclass(frozen=True)
class Resources:
    """What a method may use beside the batches.

    Attributes:
        original: the model before unlearning, frozen, in evaluation mode, on the device.
        forget: the forget set; uint8 images on the CPU or the device, like those of ``anchor``.
        anchor: the anchor set.
        device: where the batches are.
        seed: for draws of its own.
    """

    original: Classifier
    forget: LabelledImages
    anchor: LabelledImages
    device: torch.device
    seed: int


class UnlearningMethod(Protocol):
    """An objective, and nothing but an objective: the loop, the batches and the probe are shared."""

    training_mode: bool
    """Whether the model is in training mode in a step (dropout, moving batch-norm statistics)."""

    def loss(self, model: nn.Module, step: UnlearningStep) -> StepLoss:
        """Return the loss of a step; its mean over the processes is the loss of the global batch."""

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed run needs to go on as an unbroken one would."""

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take back what :meth:`state` returned."""


class Stateless:
    """A method that carries nothing from step to step."""

    def state(self) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Nothing to take back."""
