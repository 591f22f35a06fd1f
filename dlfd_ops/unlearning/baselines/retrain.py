"""Retraining as a method: the oracle behind the protocol of all others."""

from __future__ import annotations

from torch import nn

from dlfd_ops.models.losses import sample_losses
from dlfd_ops.training.loop import StepLoss
from dlfd_ops.unlearning.layers import fresh_classifier, reset_layers
from dlfd_ops.unlearning.method import Resources, UnlearningMethod, UnlearningStep


class Retrain(UnlearningMethod):
    """Minimise the mean loss on the retain set from fresh weights: what all other methods approximate.

    Exact unlearning; nothing of the original is used but its architecture. Objective: E_retain[loss].

    Departures: learning rate, epochs and batches are those of the section ``unlearn``, which must be as long as a
    training for this to be an oracle. The stage ``retrain`` takes them from ``train``.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def prepare(self, model: nn.Module) -> None:
        """Give the whole model fresh weights."""
        reset_layers([model], [fresh_classifier(self._resources.original, seed=self._resources.seed)])

    def loss(self, model: nn.Module, step: UnlearningStep) -> StepLoss:
        """Return the mean loss of the retain batch."""
        logits = model(step.retain.images).logits
        return StepLoss(sample_losses(logits, step.retain.targets).mean(), {})
