"""Forward passes that the methods share."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.data.pixels import ahead
from dlfd_ops.models.classifier import Classifier, to_unit

SWEEP_BATCH_SIZE = 256
"""Images in a pass that keeps no activations."""
GRADIENT_BATCH_SIZE = 64
"""Images in a pass that keeps them for a gradient: bounds the memory, however many images a method looks at."""


def logits_of(model: nn.Module, *images: Tensor) -> list[Tensor]:
    """Return the logits of several batches, each (B_i, C), from one forward pass over all of them.

    One pass, because batch norm then sees them together, and because DistributedDataParallel wants no second one before
    the backward pass.
    """
    logits = model(torch.cat(images)).logits
    return list(torch.split(logits, [len(part) for part in images]))


def taught_logits(teacher: Classifier, images: Tensor) -> Tensor:
    """Return a teacher's (B, C) logits for a batch, float32 and without a gradient."""
    with torch.no_grad():
        logits: Tensor = teacher(images).logits
    return logits.float()


def sweep(
    data: LabelledImages, device: torch.device, *, batch_size: int = SWEEP_BATCH_SIZE
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield all samples of a set in their order, as batches of images in [0, 1] and targets on ``device``."""
    parts = [slice(start, start + batch_size) for start in range(0, len(data), batch_size)]
    for rows, pixels in zip(parts, ahead(data.images, parts), strict=True):
        yield to_unit(pixels.to(device)), data.targets[rows].to(device)
