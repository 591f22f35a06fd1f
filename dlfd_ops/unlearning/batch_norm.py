"""Statistics of batch norm: which a model normalises by while it unlearns, and which it ends with."""

from __future__ import annotations

import math

import torch
from torch import nn

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.unlearning.passes import SWEEP_BATCH_SIZE, sweep


def move_batch_norm(model: nn.Module) -> None:
    """Let the layers of batch norm use the statistics of each batch, and their running ones follow; the rest stays."""
    for layer in _layers(model):
        layer.train()


@torch.no_grad()
def recompute_batch_norm(model: nn.Module, data: LabelledImages, device: torch.device) -> None:
    """Replace the running statistics of batch norm by those of all samples under the final weights.

    The running ones are a mean over the last ten batches or so, most of them under other weights: noise that a model
    need not end with (Wu & Johnson 2021, "Rethinking 'Batch' in BatchNorm", arXiv 2105.07576, section 3). All other
    layers are in evaluation mode, and so is the model afterwards.

    Args:
        model: on ``device``; changed in place.
        data: the samples whose statistics count, as few large batches of about one size.
        device: where to compute.
    """
    model.eval()
    layers = _layers(model)
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the plain mean over all batches
        layer.train()
    batches = math.ceil(len(data) / SWEEP_BATCH_SIZE)
    for images, _ in sweep(data, device, batch_size=math.ceil(len(data) / batches)):
        model(images)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
        layer.eval()


def _layers(model: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
