"""DLFD anchored on unseen people: the default, because it forgets without breaking the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from dlfd_ops.models.classifier import to_unit
from dlfd_ops.models.losses import sample_losses
from dlfd_ops.training.distributed import gather, unwrapped
from dlfd_ops.training.loop import StepLoss
from dlfd_ops.unlearning.dlfd.transport import class_conditional, cosine_cost, line_transport, sinkhorn
from dlfd_ops.unlearning.method import Resources, UnlearningStep

if TYPE_CHECKING:
    from dlfd_ops.params import DlfdSection

OTHER_CLASS_PENALTY = 2.0
"""Cost of moving between classes: the largest cosine distance, so that no move inside a class costs more."""


class AnchoredDlfd:
    """Move the forget people's losses and features onto those of people the model has never seen.

    Distribution-level feature distancing with a target: away from the memorised, toward the unseen. While the
    dynamic schedule pushes, the objective is

        d * KL(original || model) on the retain batch
        + l * T(losses of the forget batch, losses of the anchor bank)
        + f * OT(features of the forget batch, features of the anchor bank), classes kept apart

    and below the threshold the first term alone. T is transport on the line, OT entropic transport with cosine
    cost. The bank is a sample of the anchor set, seen through the current model and refreshed every few steps; no
    gradient flows to it. The distillation keeps what the original knew of everybody else (the correlations that the
    paper sees collapse). Dropout is off. Batch-norm statistics move by default: with frozen ones an overfitted model
    comes apart within some twenty steps unless the learning rate is very small.
    """

    training_mode = False

    def __init__(self, settings: DlfdSection, resources: Resources) -> None:
        self._settings = settings
        self._resources = resources
        self._bank: dict[str, Tensor] = {}

    def loss(self, model: nn.Module, step: UnlearningStep) -> StepLoss:
        """Return the objective of one step; losses and features are gathered over the processes."""
        if self._settings.anchored.batch_norm == "moving":
            _move_batch_norm(model)
        if step.step % self._settings.anchored.bank_refresh == 0:
            self._bank = self._refresh(unwrapped(model), step.step)
        if not step.push:
            kept = self._distillation(model(step.retain.images).logits, step.retain.images)
            return StepLoss(self._settings.anchored.distillation_weight * kept, {"distillation": kept.detach()})
        num_retain = len(step.retain.images)
        output = model(torch.cat([step.retain.images, step.forget.images]))
        kept = self._distillation(output.logits[:num_retain], step.retain.images)
        targets = gather(step.forget.targets)
        losses = gather(sample_losses(output.logits[num_retain:], step.forget.targets))
        layer = output.features if self._settings.features == "penultimate" else output.logits
        moved_losses = line_transport(losses, self._bank["losses"])
        moved_features = self._feature_transport(gather(layer[num_retain:]), targets)
        weights = self._settings.anchored
        total = (
            weights.distillation_weight * kept
            + weights.loss_weight * moved_losses
            + weights.feature_weight * moved_features
        )
        parts = {"distillation": kept, "loss_transport": moved_losses, "feature_transport": moved_features}
        return StepLoss(total, {name: value.detach() for name, value in parts.items()})

    def state(self) -> dict[str, Tensor]:
        """Return the bank: a resumed run may start between two refreshes."""
        return self._bank

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take the bank back."""
        self._bank = {name: value.to(self._resources.device) for name, value in state.items()}

    def _distillation(self, logits: Tensor, images: Tensor) -> Tensor:
        with torch.no_grad():
            taught = self._resources.original(images).logits.float()
        return divergence(taught, logits.float(), multi_label=self._resources.original.card.multi_label)

    def _feature_transport(self, features: Tensor, targets: Tensor) -> Tensor:
        cost = class_conditional(
            cosine_cost(features, self._bank["features"]), targets, self._bank["targets"], penalty=OTHER_CLASS_PENALTY
        )
        return sinkhorn(cost, **self._settings.sinkhorn.model_dump()).cost

    @torch.no_grad()
    def _refresh(self, model: nn.Module, step: int) -> dict[str, Tensor]:
        anchor = self._resources.anchor
        generator = torch.Generator().manual_seed(self._resources.seed * 1_000_003 + step)
        chosen = torch.randperm(len(anchor), generator=generator)[: self._settings.anchored.bank_size]
        images = to_unit(anchor.images[chosen].to(self._resources.device))
        targets = anchor.targets[chosen].to(self._resources.device)
        output = model(images)
        features = output.features if self._settings.features == "penultimate" else output.logits
        return {"losses": sample_losses(output.logits, targets), "features": features, "targets": targets}


def _move_batch_norm(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.train()


def divergence(taught: Tensor, logits: Tensor, *, multi_label: bool) -> Tensor:
    """Return the mean KL divergence from the taught predictions, for (B, C) logits.

    Over the classes of a single label, or the mean over several binary labels.
    """
    if multi_label:
        taught = torch.stack([nn.functional.logsigmoid(taught), nn.functional.logsigmoid(-taught)], dim=2)
        logits = torch.stack([nn.functional.logsigmoid(logits), nn.functional.logsigmoid(-logits)], dim=2)
    else:
        taught, logits = taught.log_softmax(dim=1).unsqueeze(1), logits.log_softmax(dim=1).unsqueeze(1)
    return (taught.exp() * (taught - logits)).sum(dim=2).mean()
