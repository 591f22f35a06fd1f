"""Bad teaching: an incompetent teacher for the forget set, a competent one for the rest."""

from __future__ import annotations

from torch import nn

from dlfd_ops.training.loop import StepLoss
from dlfd_ops.unlearning.divergence import divergence
from dlfd_ops.unlearning.layers import fresh_classifier
from dlfd_ops.unlearning.method import Resources, UnlearningMethod, UnlearningStep
from dlfd_ops.unlearning.passes import logits_of, taught_logits


class BadTeacher(UnlearningMethod):
    """Take over the predictions of the original on the retain set, and those of an untrained model on the forget set.

    Chundawat, Tarun, Mandal & Kankanhalli, "Can Bad Teaching Induce Forgetting?" (AAAI 2023, arXiv 2205.08096).
    Objective, the mean over the samples x of both batches, with S the model, T the original and D a model with random
    weights:

        KL(T(x) || S(x)) for x in retain,   KL(D(x) || S(x)) for x in forget

    Departures: the paper draws batches from the forget set and 30% of the retain set, with Adam; here every step has a
    retain batch and a forget batch (their sizes are the two shares), with the loop's SGD. Temperature 1.
    """

    def __init__(self, resources: Resources) -> None:
        self._competent = resources.original
        self._incompetent = fresh_classifier(resources.original, seed=resources.seed)

    def loss(self, model: nn.Module, step: UnlearningStep) -> StepLoss:
        """Return the mean divergence from the teachers."""
        retain, forget = step.retain.images, step.forget.images
        logits = logits_of(model, retain, forget)
        multi_label = self._competent.card.multi_label
        kept = divergence(taught_logits(self._competent, retain), logits[0], multi_label=multi_label)
        lost = divergence(taught_logits(self._incompetent, forget), logits[1], multi_label=multi_label)
        total = (len(retain) * kept + len(forget) * lost) / (len(retain) + len(forget))
        return StepLoss(total, {"retain": kept.detach(), "forget": lost.detach()})
