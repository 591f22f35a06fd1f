"""Supervised learning: the objective of the original and of the retrained model."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.models.classifier import to_unit
from dlfd_ops.models.losses import sample_losses
from dlfd_ops.training.batches import BatchPlan, PlannedPixels
from dlfd_ops.training.loop import Objective, StepLoss


def flip_at_random(images: Tensor) -> Tensor:
    """Mirror each of (B, 3, S, S) images left to right with probability one half."""
    flipped = torch.rand(len(images), device=images.device) < 0.5
    return torch.where(flipped.view(-1, 1, 1, 1), images.flip(3), images)


class SupervisedObjective(Objective):
    """Mean loss on shuffled batches of a labelled set.

    Args:
        data: the training samples.
        plan: which samples make up which global batch.
        flip: whether to mirror images at random.
        device: where the batches go.
        rank: of this process.
        num_processes: that share a global batch.
    """

    def __init__(
        self, data: LabelledImages, plan: BatchPlan, *, flip: bool, device: torch.device, rank: int, num_processes: int
    ) -> None:
        self._pixels = PlannedPixels(data.images, plan, device)
        self._targets = data.targets.to(device)
        self._flip = flip
        self._share = {"rank": rank, "num_processes": num_processes}

    def step_loss(self, model: nn.Module, step: int) -> StepLoss:
        """Return the mean loss of this process's share of the batch, in training mode."""
        model.train()
        pixels, indices = self._pixels.batch(step, **self._share)
        images = to_unit(pixels)
        targets = self._targets[indices]
        output = model(flip_at_random(images) if self._flip else images)
        loss = sample_losses(output.logits, targets).mean()
        return StepLoss(loss, {"accuracy": hits(output.logits.detach(), targets).mean()})


def hits(logits: Tensor, targets: Tensor) -> Tensor:
    """Return how right each prediction is, (B,) float32: 0 or 1, or the share of the labels that are right."""
    if targets.dim() == 1:
        return (logits.argmax(dim=1) == targets).float()
    return ((logits > 0).float() == targets).float().mean(dim=1)
