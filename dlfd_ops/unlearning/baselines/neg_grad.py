"""NegGrad: climb the loss of the forget set."""

from __future__ import annotations

from torch import nn

from dlfd_ops.models.losses import sample_losses
from dlfd_ops.training.loop import StepLoss
from dlfd_ops.unlearning.method import UnlearningMethod, UnlearningStep


class NegGrad(UnlearningMethod):
    """Maximise the mean loss on the forget set.

    The baseline of Golatkar, Achille & Soatto (CVPR 2020, arXiv 1911.04933). Objective: -E_forget[loss]. The dynamic
    schedule stops the ascent: the weights then stay where they are. Batch-norm statistics are kept, because forget
    batches alone would move them.
    """

    training_mode = False
    uses_probe = True

    def __init__(self) -> None:
        self._push = True

    def loss(self, model: nn.Module, step: UnlearningStep) -> StepLoss:
        """Return minus the mean loss of the forget batch, or zero where there is no push."""
        self._push = step.push
        forget_loss = sample_losses(model(step.forget.images).logits, step.forget.targets).mean()
        return StepLoss(-forget_loss * float(step.push), {"forget_loss": forget_loss.detach()})

    def before_update(self, model: nn.Module) -> None:
        """Leave the optimiser nothing to do where there is no push: of a zero gradient momentum would climb on."""
        if not self._push:
            for parameter in model.parameters():
                parameter.grad = None
