"""EU-k: train the last k layers anew on the retain set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from dlfd_ops.models.losses import sample_losses
from dlfd_ops.training.loop import StepLoss
from dlfd_ops.unlearning.layers import fresh_classifier, reset_layers, split_layers
from dlfd_ops.unlearning.method import Resources, UnlearningMethod, UnlearningStep

if TYPE_CHECKING:
    from dlfd_ops.params import LastLayersSection


class ExactUnlearning(UnlearningMethod):
    """Minimise the mean loss on the retain set over the last k layers, from fresh weights; the others stay as they are.

    Exact unlearning of the last k layers, Goel, Prabhu, Sanyal, Lim, Torr & Kumaraguru ("Towards Adversarial
    Evaluations for Inexact Machine Unlearning", 2022, arXiv 2201.06640). Objective: E_retain[loss] over the weights of
    the last k layers, which start from an initialisation of their own.

    Departures: the paper trains the new layers for as long as the original was trained; here it is ``unlearn.epochs``.
    The layers that stay are in evaluation mode, so that their batch-norm statistics stay too.
    """

    def __init__(self, settings: LastLayersSection, resources: Resources) -> None:
        self._layers = settings.layers
        self._resources = resources

    def frozen(self, model: nn.Module) -> Sequence[nn.Module]:
        """Return all but the last k layers."""
        return split_layers(model, self._layers)[0]

    def prepare(self, model: nn.Module) -> None:
        """Give the last k layers fresh weights."""
        fresh = fresh_classifier(self._resources.original, seed=self._resources.seed)
        reset_layers(split_layers(model, self._layers)[1], split_layers(fresh, self._layers)[1])

    def loss(self, model: nn.Module, step: UnlearningStep) -> StepLoss:
        """Return the mean loss of the retain batch."""
        logits = model(step.retain.images).logits
        return StepLoss(sample_losses(logits, step.retain.targets).mean(), {})
