"""Fine-tuning: go on training on the retain set and hope that the rest fades."""

from __future__ import annotations

from torch import nn

from dlfd_ops.models.losses import sample_losses
from dlfd_ops.training.loop import StepLoss
from dlfd_ops.unlearning.method import UnlearningMethod, UnlearningStep


class FineTune(UnlearningMethod):
    """Minimise the mean loss on the retain set.

    The baseline of Golatkar, Achille & Soatto (CVPR 2020, arXiv 1911.04933). Objective: E_retain[loss]. It never
    looks at the forget set, so the dynamic schedule does not apply.
    """

    def loss(self, model: nn.Module, step: UnlearningStep) -> StepLoss:
        """Return the mean loss of the retain batch."""
        logits = model(step.retain.images).logits
        return StepLoss(sample_losses(logits, step.retain.targets).mean(), {})
