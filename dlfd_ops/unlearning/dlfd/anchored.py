"""DLFD anchored on unseen people: the default, because it forgets without breaking the model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.models.classifier import Output
from dlfd_ops.models.losses import sample_losses
from dlfd_ops.training.distributed import from_first, unwrapped
from dlfd_ops.training.loop import StepLoss
from dlfd_ops.unlearning.divergence import divergence
from dlfd_ops.unlearning.dlfd.parity import log_odds_of_easier, with_lower_odds
from dlfd_ops.unlearning.dlfd.partners import Seen, draw_partners, rank_share, same_labels, strangers_stood_for
from dlfd_ops.unlearning.method import Resources, UnlearningMethod, UnlearningStep
from dlfd_ops.unlearning.passes import logits_of, sweep, taught_logits

if TYPE_CHECKING:
    from dlfd_ops.params import DlfdSection


class AnchoredDlfd(UnlearningMethod):
    """Move the predictions on the forget people, as a distribution, onto those on people the model has never seen.

    Some of the anchor people, U, are seen by no step; the others are A. Before the first step the original looks at the
    forget set F and at U. An entropic transport plan between the two, in the original's feature space and class by
    class (see ``partners``), gives every forget sample x a partner u(x) among the unseen. The few people of U may
    happen to be hard ones, or easy ones: each counts for as many of U and A as are nearest to it in difficulty. While
    the dynamic schedule pushes, a step minimises

        r * KL(p0(R) || p(R)) + a * KL(p0(A) || p(A)) + f * KL(pt(u(x)) || p(x) for x in F)

    on a retain, an anchor and a forget batch, with p the model's predictions, p0 the original's, and pt those of the
    model in the making, asked anew every few steps. Below the threshold of the schedule the last term is left out. The
    first term keeps what the original knew of everybody else, the second how it treats people it has never seen, the
    third makes the forgotten such people.

    The targets follow the model, because unlearning changes how it treats strangers, too: those that the original
    would set lie where strangers were, and an attacker compares with where they are. And they lead: a model that cannot
    follow each of them averages them, which leaves the forgotten a little easier than strangers. So at every refresh
    the odds of the true label are lowered in all targets by the odds that a forgotten photo is easier than a partner.
    Photos whose partner has other labels, for want of one that has theirs, have no say in that.

    The original is asked about mirrored forget images, too: its loss on a view that it was not trained on tells hard
    people from easy ones, where memory hides that in the image itself.

    Dropout is off. Batch-norm statistics move by default: with frozen ones an overfitted model comes apart within some
    twenty steps unless the learning rate is very small.
    """

    training_mode = False
    uses_probe = True
    most_asked = 1024
    """Unseen people, and photos to forget, that are looked at in a refresh: what it costs has a bound."""
    farthest_lead = 1.0
    """In nats. A model that cannot follow at all would otherwise be led further at every refresh."""

    def __init__(self, settings: DlfdSection, resources: Resources) -> None:
        resources = replace(resources, unseen=resources.unseen.first(self.most_asked))
        self._settings = settings.anchored
        self._resources = resources
        self._watched = resources.forget.first(self.most_asked)
        unseen = _look(resources.original, resources.unseen, resources.device)
        self._partners = from_first(_partners(settings, resources, unseen).to(resources.device))
        self._targets = unseen.logits.to(resources.device)[self._partners]
        self._lowered = 0.0

    def loss(self, model: nn.Module, step: UnlearningStep) -> StepLoss:
        """Return the objective of one step."""
        if step.step and step.step % self._settings.refresh_every == 0:
            self._refresh(unwrapped(model), push=step.push)
        if self._settings.batch_norm == "moving":
            _move_batch_norm(model)
        retain, anchor = step.retain.images, step.anchor.images
        logits = logits_of(model, *([retain, anchor, step.forget.images] if step.push else [retain, anchor]))
        parts = {"retain": self._distillation(logits[0], retain), "anchor": self._distillation(logits[1], anchor)}
        total = self._settings.retain_weight * parts["retain"] + self._settings.anchor_weight * parts["anchor"]
        if step.push:
            taught = self._targets[step.forget.indices.to(self._resources.device)]
            parts["forget"] = divergence(taught, logits[2], multi_label=self._multi_label)
            total = total + self._settings.forget_weight * parts["forget"]
        return StepLoss(total, {name: value.detach() for name, value in parts.items()})

    def state(self) -> dict[str, Tensor]:
        """Return the partners, the targets that came of what the model last said of them, and how far these lead."""
        lowered = torch.tensor(self._lowered, dtype=torch.float64)
        return {"partners": self._partners, "targets": self._targets, "lowered": lowered}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take back what :meth:`state` returned."""
        self._partners, self._targets = (state[name].to(self._resources.device) for name in ("partners", "targets"))
        self._lowered = float(state["lowered"])

    def _refresh(self, model: nn.Module, *, push: bool) -> None:
        """Ask the model, which is in evaluation mode before a step, about the partners, and lead where it is pushed."""
        said = _look(model, self._resources.unseen, self._resources.device).logits[self._partners.cpu()]
        if push:
            lowered = self._lowered + self._settings.parity_gain * self._log_odds_of_easier(model, said)
            self._lowered = min(max(lowered, -self.farthest_lead), self.farthest_lead)
        targets = with_lower_odds(said, self._resources.forget.targets, self._lowered)
        self._targets = targets.to(self._resources.device)

    def _log_odds_of_easier(self, model: nn.Module, said: Tensor) -> float:
        """Return the log odds that a photo to forget is easier than a partner, as the model finds both."""
        targets, watched = self._resources.forget.targets, self._watched
        alike = same_labels(self._resources.unseen.targets[self._partners.cpu()], targets)
        losses = sample_losses(_look(model, watched, self._resources.device).logits.double(), watched.targets)
        return log_odds_of_easier(losses[alike[: len(watched)]], sample_losses(said.double(), targets)[alike])

    @property
    def _multi_label(self) -> bool:
        return self._resources.original.card.multi_label

    def _distillation(self, logits: Tensor, images: Tensor) -> Tensor:
        taught = taught_logits(self._resources.original, images)
        return divergence(taught, logits, multi_label=self._multi_label)


def _partners(settings: DlfdSection, resources: Resources, unseen: Output) -> Tensor:
    """Return the partner of each forget sample, (N,) row numbers of the unseen people."""
    strangers, weights = _strangers(settings, resources, unseen)
    return draw_partners(
        _forgotten(settings, resources),
        strangers,
        weights=weights,
        difficulty_weight=settings.anchored.difficulty_weight,
        epsilon=settings.sinkhorn.epsilon,
        generator=torch.Generator().manual_seed(resources.seed),
    )


def _forgotten(settings: DlfdSection, resources: Resources) -> Seen:
    """Return how the original sees the forget set: its mirror image tells what memory hides in the image itself."""
    original, forget, device = resources.original, resources.forget, resources.device
    seen, mirrored = _look(original, forget, device), _look(original, forget, device, mirror=True)
    ranks = [rank_share(sample_losses(view.logits.double(), forget.targets)) for view in (seen, mirrored)]
    return Seen(_layer(mirrored, settings.features), rank_share(ranks[0] + ranks[1]), forget.targets)


def _strangers(settings: DlfdSection, resources: Resources, unseen: Output) -> tuple[Seen, Tensor]:
    """Return how the original sees U, by its ranks among all anchor people, and how many of these each stands for."""
    anchor = _look(resources.original, resources.anchor, resources.device)
    labels = torch.cat([resources.unseen.targets, resources.anchor.targets])
    difficulty = rank_share(sample_losses(torch.cat([unseen.logits, anchor.logits]).double(), labels))
    seen = Seen(_layer(unseen, settings.features), difficulty[: len(unseen.logits)], resources.unseen.targets)
    return seen, strangers_stood_for(seen, difficulty, labels)


def _layer(view: Output, layer: str) -> Tensor:
    return view.features if layer == "penultimate" else view.logits


@torch.no_grad()
def _look(model: nn.Module, data: LabelledImages, device: torch.device, *, mirror: bool = False) -> Output:
    """Return features and logits of all samples, on the CPU."""
    views = [model(images.flip(3) if mirror else images) for images, _ in sweep(data, device)]
    return Output(*(torch.cat([part.float().cpu() for part in parts]) for parts in zip(*views, strict=True)))


def _move_batch_norm(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.train()
