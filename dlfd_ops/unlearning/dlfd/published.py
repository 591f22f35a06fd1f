"""DLFD as its authors' released code does it; for comparison only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from dlfd_ops.models.losses import sample_losses
from dlfd_ops.training.distributed import unwrapped
from dlfd_ops.training.loop import StepLoss
from dlfd_ops.unlearning.dlfd.schedule import Linear
from dlfd_ops.unlearning.dlfd.transport import cosine_cost, sinkhorn
from dlfd_ops.unlearning.method import Resources, UnlearningMethod, UnlearningStep

if TYPE_CHECKING:
    from dlfd_ops.params import DlfdSection

TOLERANCE = 0.1
"""L1 violation of the marginals at which the iteration ends, as loosely as the released code ends it."""


class PublishedDlfd(UnlearningMethod):
    """What the repository of the paper's authors computes, errors included.

    Github Dasol-Choi/DLFD at 4ac0aa6, for Choi & Na, AAAI 2025, arXiv 2409.14747. While the dynamic schedule pushes, K
    sign-gradient steps without a bound increase

        lambda_ot * OT(logits(retain), logits(forget)) - w(t) * cross_entropy(retain + delta, labels)

    over delta. The transport is that of the *unperturbed* retain batch: it sends no gradient to delta, so that only the
    second term acts and makes the images easier. The perturbed batch, clamped to [0, 1] in *normalised* units, which
    cuts off all that is darker than the mean, is learnt with its true labels. The model is in training mode in the
    first step only: the first probe leaves it in evaluation mode for good. The released code also carries every
    gradient through the transport into the weights and drops it; that is done here as well, so that its cost is its
    own.

    Departures: Sinkhorn's iteration is the stable one of ``transport`` (its value has no effect). The loop clips
    gradients and lowers its rate. Batches of different sizes are not skipped. The last weights are the result: no
    checkpoint is chosen on the data that is reported on. The forget batch of several processes is not gathered, as the
    released code runs on one.
    """

    uses_probe = True
    rests_past_parity = False

    def __init__(self, settings: DlfdSection, resources: Resources) -> None:
        self._settings = settings.published
        self._original = resources.original
        self._weight = Linear(**self._settings.classification_weight.model_dump())

    def loss(self, model: nn.Module, step: UnlearningStep) -> StepLoss:
        """Return the mean loss of the retain batch, perturbed and clamped while there is a push."""
        model.train(step.step == 0)
        images = self._perturb(unwrapped(model), step) if step.push else step.retain.images
        return StepLoss(sample_losses(model(images).logits, step.retain.targets).mean(), {})

    def _perturb(self, model: nn.Module, step: UnlearningStep) -> Tensor:
        """Return the perturbed retain batch, in the units that the model takes."""
        weight = self._weight(step.progress)
        weights = [tensor for tensor in model.parameters() if tensor.requires_grad]
        retain = self._original.normalise(step.retain.images)
        noise = torch.zeros_like(retain, requires_grad=True)
        for _ in range(self._settings.steps):
            logits = model(self._clamped(retain + noise)).logits
            gain = self._settings.transport_weight * self._transport(model, step)
            gain = gain - weight * sample_losses(logits, step.retain.targets).mean()
            gradient = torch.autograd.grad(gain, [noise, *weights], allow_unused=True)[0]
            noise = (noise + self._settings.step_size * gradient.sign()).detach().requires_grad_(True)
        return self._clamped(retain + noise).detach()

    def _transport(self, model: nn.Module, step: UnlearningStep) -> Tensor:
        cost = cosine_cost(model(step.retain.images).logits, model(step.forget.images).logits)
        settings = self._settings
        return sinkhorn(cost, epsilon=settings.epsilon, max_iterations=settings.iterations, tolerance=TOLERANCE).cost

    def _clamped(self, normalised: Tensor) -> Tensor:
        return self._original.denormalise(normalised.clamp(0, 1))
