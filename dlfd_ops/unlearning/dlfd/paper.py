"""DLFD as the paper states it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from dlfd_ops.models.losses import sample_losses
from dlfd_ops.training.distributed import gather, unwrapped
from dlfd_ops.training.loop import StepLoss
from dlfd_ops.unlearning.dlfd.distancing import distance_features
from dlfd_ops.unlearning.dlfd.schedule import Linear
from dlfd_ops.unlearning.dlfd.transport import cosine_cost, sinkhorn
from dlfd_ops.unlearning.method import Resources, UnlearningMethod, UnlearningStep

if TYPE_CHECKING:
    from dlfd_ops.params import DlfdSection


class PaperDlfd(UnlearningMethod):
    """Train on retain images whose features were pushed away from the forget features.

    Choi & Na, AAAI 2025, arXiv 2409.14747. For every batch, K sign-gradient steps increase

        lambda_ot * OT(features(retain + delta), features(forget)) - w(t) * cross_entropy(retain + delta, labels)

    over the perturbation delta, with w(t) linear in the progress; then the perturbed batch is learnt with its true
    labels. The forget features are computed once a batch. Below the threshold of the dynamic schedule it is plain
    fine-tuning. Pixels are bounded in [0, 1] before normalisation, and delta by a parameter.
    """

    uses_probe = True
    rests_past_parity = False

    def __init__(self, settings: DlfdSection, resources: Resources) -> None:
        self._settings = settings
        self._weight = Linear(**settings.paper.classification_weight.model_dump())

    def loss(self, model: nn.Module, step: UnlearningStep) -> StepLoss:
        """Return the mean loss of the retain batch, perturbed while there is a push."""
        images = self._perturb(unwrapped(model), step) if step.push else step.retain.images
        model.train(self.training_mode)
        logits = model(images).logits
        return StepLoss(sample_losses(logits, step.retain.targets).mean(), {})

    def _perturb(self, model: nn.Module, step: UnlearningStep) -> Tensor:
        # Frozen statistics: the search for a perturbation must not move the model that it is searched against.
        model.eval()
        paper, layer = self._settings.paper, self._settings.features
        forget = gather(_layer(model, step.forget.images, layer)[0].detach())
        weight = self._weight(step.progress)

        def gain(images: Tensor) -> Tensor:
            features, logits = _layer(model, images, layer)
            cost = cosine_cost(gather(features), forget)
            distance = sinkhorn(cost, **self._settings.sinkhorn.model_dump()).cost
            kept = sample_losses(logits, step.retain.targets).mean()
            return paper.transport_weight * distance - weight * kept

        return distance_features(
            step.retain.images, gain, steps=paper.steps, step_size=paper.step_size, bound=paper.bound
        )


def _layer(model: nn.Module, images: Tensor, layer: str) -> tuple[Tensor, Tensor]:
    output = model(images)
    return (output.features if layer == "penultimate" else output.logits), output.logits
