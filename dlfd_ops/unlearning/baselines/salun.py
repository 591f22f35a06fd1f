"""SalUn: random labels for the forget set, taught to the weights that matter for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.models.losses import sample_losses
from dlfd_ops.training.distributed import from_first
from dlfd_ops.training.loop import StepLoss
from dlfd_ops.unlearning.method import Resources, UnlearningMethod, UnlearningStep
from dlfd_ops.unlearning.passes import GRADIENT_BATCH_SIZE, logits_of, sweep

if TYPE_CHECKING:
    from dlfd_ops.params import SalunSection


class SalUn(UnlearningMethod):
    """Teach the salient weights wrong labels for the forget set and the true ones for the retain set.

    Fan, Liu, Zhang, Wong, Wei & Liu, "SalUn: Empowering Machine Unlearning via Gradient-based Weight Saliency" (ICLR
    2024, arXiv 2310.12508). A weight is salient where the original's gradient of the forget loss is among the largest
    in absolute value; the others keep the original's values. Objective over the salient weights, y' a wrong label drawn
    once for each sample:

        E_forget[loss(x, y')] + a * E_retain[loss(x, y)]

    Of several binary labels the only wrong value of each is the other one, so y' is y with all bits flipped.

    Departures: the share of salient weights is taken exactly, where a threshold would take ties as well. Batch-norm
    statistics are no weights and move.
    """

    def __init__(self, settings: SalunSection, resources: Resources) -> None:
        self._settings = settings
        self._resources = resources
        generator = torch.Generator().manual_seed(resources.seed)
        labels = wrong_labels(resources.forget.targets, resources.original.card.num_outputs, generator)
        self._wrong = labels.to(resources.device)
        self._salient: dict[str, Tensor] = {}

    def prepare(self, model: nn.Module) -> None:
        """Find the salient weights: rank 0 does, as close calls differ between devices."""
        saliency = _forget_gradient(model, self._resources.forget, self._resources.device)
        salient = largest(saliency, self._settings.salient_share)
        self._salient = {name: from_first(chosen) for name, chosen in salient.items()}

    def loss(self, model: nn.Module, step: UnlearningStep) -> StepLoss:
        """Return the loss of the wrong labels plus that of the true ones."""
        logits = logits_of(model, step.retain.images, step.forget.images)
        retain = sample_losses(logits[0], step.retain.targets).mean()
        relabelled = sample_losses(logits[1], self._wrong[step.forget.indices]).mean()
        metrics = {"retain_loss": retain.detach(), "relabelled_loss": relabelled.detach()}
        return StepLoss(relabelled + self._settings.retain_weight * retain, metrics)

    def before_update(self, model: nn.Module) -> None:
        """Drop the gradients of the other weights, so that the clipping does not see them."""
        for name, weights in model.named_parameters():
            if weights.grad is not None:
                weights.grad.mul_(self._salient[name])

    @torch.no_grad()
    def after_update(self, model: nn.Module) -> None:
        """Put the other weights back: momentum and weight decay have moved them."""
        original, weights = (dict(one.named_parameters()) for one in (self._resources.original, model))
        for name, salient in self._salient.items():
            weights[name].copy_(torch.where(salient, weights[name], original[name]))

    def state(self) -> dict[str, Tensor]:
        """Return which weights are salient."""
        return dict(self._salient)

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take back which weights are salient."""
        self._salient = {name: chosen.to(self._resources.device) for name, chosen in state.items()}


def wrong_labels(targets: Tensor, num_classes: int, generator: torch.Generator) -> Tensor:
    """Return a wrong label for each sample: any other class with equal chance, or all binary labels flipped.

    Args:
        targets: (N,) int64 classes, or (N, L) float32 of 0 and 1.
        num_classes: of a single label.
        generator: of the draws.
    """
    if targets.dim() == 2:
        return 1 - targets
    shift = torch.randint(1, num_classes, targets.shape, generator=generator)
    return (targets + shift.to(targets.device)) % num_classes


def largest(values: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Return, for each tensor, which of its entries are among the largest ``share`` of all entries of all tensors."""
    flat = torch.cat([tensor.flatten() for tensor in values.values()])
    chosen = torch.zeros_like(flat, dtype=torch.bool)
    chosen[flat.topk(round(share * len(flat))).indices] = True
    parts = torch.split(chosen, [tensor.numel() for tensor in values.values()])
    return {name: part.view_as(tensor) for part, (name, tensor) in zip(parts, values.items(), strict=True)}


def _forget_gradient(model: nn.Module, forget: LabelledImages, device: torch.device) -> dict[str, Tensor]:
    """Return the absolute gradient of the forget set's mean loss, by parameter that trains, in evaluation mode."""
    model.eval()
    weights = {name: tensor for name, tensor in model.named_parameters() if tensor.requires_grad}
    total = [torch.zeros_like(tensor) for tensor in weights.values()]
    for images, targets in sweep(forget, device, batch_size=GRADIENT_BATCH_SIZE):
        loss = sample_losses(model(images).logits, targets).sum() / len(forget)
        gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
        for so_far, part in zip(total, gradients, strict=True):
            # A layer that the forward pass leaves out has none.
            if part is not None:
                so_far.add_(part)
    return {name: tensor.abs() for name, tensor in zip(weights, total, strict=True)}
