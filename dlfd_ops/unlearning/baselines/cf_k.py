"""CF-k: fine-tune the last k layers on the retain set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from dlfd_ops.models.losses import sample_losses
from dlfd_ops.training.loop import StepLoss
from dlfd_ops.unlearning.layers import split_layers
from dlfd_ops.unlearning.method import UnlearningMethod, UnlearningStep

if TYPE_CHECKING:
    from dlfd_ops.params import LastLayersSection


class CatastrophicForgetting(UnlearningMethod):
    """Minimise the mean loss on the retain set over the last k layers; the others stay as they are.

    Catastrophic forgetting of Goel, Prabhu, Sanyal, Lim, Torr & Kumaraguru ("Towards Adversarial Evaluations for
    Inexact Machine Unlearning", 2022, arXiv 2201.06640). Objective: E_retain[loss] over the weights of the last k
    layers.

    Departures: none that we know of; the paper leaves it open what counts as a layer, see ``layers``. The layers that
    stay are in evaluation mode, so that their batch-norm statistics stay too.
    """

    def __init__(self, settings: LastLayersSection) -> None:
        self._layers = settings.layers

    def frozen(self, model: nn.Module) -> Sequence[nn.Module]:
        """Return all but the last k layers."""
        return split_layers(model, self._layers)[0]

    def loss(self, model: nn.Module, step: UnlearningStep) -> StepLoss:
        """Return the mean loss of the retain batch."""
        logits = model(step.retain.images).logits
        return StepLoss(sample_losses(logits, step.retain.targets).mean(), {})
