"""NegGrad+: climb the loss of the forget set and descend that of the retain set together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from dlfd_ops.models.losses import sample_losses
from dlfd_ops.training.loop import StepLoss
from dlfd_ops.unlearning.method import UnlearningMethod, UnlearningStep
from dlfd_ops.unlearning.passes import logits_of

if TYPE_CHECKING:
    from dlfd_ops.params import NegGradPlusSection


class NegGradPlus(UnlearningMethod):
    """Descend on the retain set and ascend on the forget set in every step.

    NegGrad+ of Kurmanji, Triantafillou, Hayes & Triantafillou (NeurIPS 2023, arXiv 2302.09880). Objective, with b the
    share of the retain set:

        b * E_retain[loss] - (1 - b) * E_forget[loss]

    Departures: the paper tunes when to stop; here the dynamic schedule leaves the second term out while the probe is
    below its threshold. Both batches go through the model in one pass, so batch norm sees them together.
    """

    uses_probe = True

    def __init__(self, settings: NegGradPlusSection) -> None:
        self._share = settings.retain_share

    def loss(self, model: nn.Module, step: UnlearningStep) -> StepLoss:
        """Return the weighted difference of the two losses, or its first term where there is no push."""
        if not step.push:
            retain = sample_losses(model(step.retain.images).logits, step.retain.targets).mean()
            return StepLoss(self._share * retain, {"retain_loss": retain.detach()})
        logits = logits_of(model, step.retain.images, step.forget.images)
        retain = sample_losses(logits[0], step.retain.targets).mean()
        forget = sample_losses(logits[1], step.forget.targets).mean()
        metrics = {"retain_loss": retain.detach(), "forget_loss": forget.detach()}
        return StepLoss(self._share * retain - (1 - self._share) * forget, metrics)
