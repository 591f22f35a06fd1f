"""SCRUB: disobey the original on the forget set and obey it on the rest, in turns; then rewind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.models.losses import sample_losses
from dlfd_ops.training.distributed import unwrapped
from dlfd_ops.training.loop import StepLoss
from dlfd_ops.training.supervised import hits
from dlfd_ops.unlearning.divergence import divergence
from dlfd_ops.unlearning.method import Resources, UnlearningMethod, UnlearningStep
from dlfd_ops.unlearning.passes import sweep, taught_logits

if TYPE_CHECKING:
    from dlfd_ops.params import ScrubSection

_KEPT = "kept"


class Scrub(UnlearningMethod):
    """Alternate steps away from the original on the forget set with steps toward it on the retain set, then rewind.

    SCRUB+R of Kurmanji, Triantafillou, Hayes & Triantafillou, "Towards Unbounded Machine Unlearning" (NeurIPS 2023,
    arXiv 2302.09880). The run has several rounds. The first rounds begin with a max phase, all end with a min phase of
    one step at least, which minimise, with T the original and S the model,

        max:  -KL(T(x) || S(x)) over forget
        min:  a * KL(T(x) || S(x)) + c * loss(x, y) over retain

    Rewind: the model is kept at the end of every round. After the last one its error on unseen people is what its error
    on the forget set should be; the kept model whose forget error is closest to that is the result.

    Departures: a round is a share of the run and not an epoch, so that all of them fit into one epoch over the retain
    set. The unseen people are those of the anchor set whom no step sees, weighted to the label proportions of the
    forget set (the paper's held-out set has the forget set's distribution). Temperature 1.
    """

    def __init__(self, settings: ScrubSection, resources: Resources) -> None:
        self._settings = settings
        self._resources = resources
        self._round = 0
        self._kept: list[dict[str, Tensor]] = []
        self._forget_errors: list[float] = []

    def loss(self, model: nn.Module, step: UnlearningStep) -> StepLoss:
        """Return the loss of the phase that the step is in."""
        number, position = self._place(step.step, step.num_steps)
        if number > self._round:
            self._keep(unwrapped(model))
            self._round = number
        ends, _ = self._place(step.step + 1, step.num_steps)
        if number < self._settings.max_rounds and position < self._settings.max_share and ends == number:
            away = self._distance(model(step.forget.images).logits, step.forget.images)
            return StepLoss(-away, {"forget": away.detach()})
        logits = model(step.retain.images).logits
        near = self._distance(logits, step.retain.images)
        right = sample_losses(logits, step.retain.targets).mean()
        total = self._settings.divergence_weight * near + self._settings.classification_weight * right
        return StepLoss(total, {"retain": near.detach(), "retain_loss": right.detach()})

    def finish(self, model: nn.Module) -> None:
        """Rewind to the kept model whose forget error is closest to the error on unseen people; of equals the last."""
        self._keep(model)
        resources = self._resources
        unseen = self._errors(model, resources.unseen)
        wanted = error_at_proportions(unseen, resources.unseen.targets.cpu(), like=resources.forget.targets.cpu())
        distances = [abs(error - wanted) for error in self._forget_errors]
        chosen = max(index for index, distance in enumerate(distances) if distance == min(distances))
        model.load_state_dict(self._kept[chosen])

    def state(self) -> dict[str, Tensor]:
        """Return the round, the kept models and their forget errors."""
        kept = {
            f"{_KEPT}.{index}.{name}": tensor
            for index, weights in enumerate(self._kept)
            for name, tensor in weights.items()
        }
        errors = torch.tensor(self._forget_errors, dtype=torch.float64)
        return {"round": torch.tensor(self._round), "forget_errors": errors, **kept}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take back what :meth:`state` returned."""
        self._round = int(state["round"])
        self._forget_errors = state["forget_errors"].tolist()
        self._kept = [{} for _ in self._forget_errors]
        for key, tensor in state.items():
            kind, _, rest = key.partition(".")
            if kind == _KEPT:
                index, _, name = rest.partition(".")
                self._kept[int(index)][name] = tensor

    def _place(self, step: int, num_steps: int) -> tuple[int, float]:
        """Return the round of a step, and how far into it the step begins."""
        # Nudged, because 0.6 * 5 must be in round 3 on every machine.
        number, position = divmod(step / num_steps * self._settings.rounds + 1e-9, 1)
        return int(number), position

    def _keep(self, model: nn.Module) -> None:
        self._kept.append({name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()})
        self._forget_errors.append(float(self._errors(model, self._resources.forget).mean()))

    def _distance(self, logits: Tensor, images: Tensor) -> Tensor:
        original = self._resources.original
        return divergence(taught_logits(original, images), logits, multi_label=original.card.multi_label)

    @torch.no_grad()
    def _errors(self, model: nn.Module, data: LabelledImages) -> Tensor:
        """Return how wrong the model is on each sample, (N,) float64 on the CPU; its mode is left as it was."""
        training = model.training
        model.eval()
        wrong = [1 - hits(model(images).logits, targets) for images, targets in sweep(data, self._resources.device)]
        model.train(training)
        return torch.cat(wrong).double().cpu()


def error_at_proportions(errors: Tensor, labels: Tensor, *, like: Tensor) -> float:
    """Return the mean error of samples weighted so that their labels are in the proportions of other samples.

    Labels that none of the samples has are left out; where none fits, it is the plain mean.

    Args:
        errors: (N,).
        labels: (N,) or (N, L), those of the samples.
        like: (M,) or (M, L), in the wanted proportions.
    """
    kinds, counts = torch.unique(like, dim=0, return_counts=True)
    total, covered = 0.0, 0
    for kind, count in zip(kinds, counts.tolist(), strict=True):
        alike = (labels == kind).reshape(len(labels), -1).all(dim=1)
        if alike.any():
            total += count * float(errors[alike].mean())
            covered += count
    return total / covered if covered else float(errors.mean())
