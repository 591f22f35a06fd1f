"""Relearn time: how fast does plain training on the forget set bring it back?

What a model has only hidden comes back in fewer steps than what it never knew (Golatkar, Achille & Soatto 2020, arXiv
1911.04933; Tarun et al. 2023, arXiv 2111.08947). One number says nothing: hold the unlearned model's against the
retrained one's.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.evaluation.predictions import predict
from dlfd_ops.evaluation.probe import draw_images
from dlfd_ops.evaluation.utility import accuracy
from dlfd_ops.models.classifier import Classifier
from dlfd_ops.training.batches import BatchPlan
from dlfd_ops.training.seeding import seed_step
from dlfd_ops.training.supervised import SupervisedObjective

if TYPE_CHECKING:
    from dlfd_ops.params import RelearnSection

MEASURED_IMAGES = 256
"""Largest number of forget images that the accuracy is measured on, after every step."""
SMALLEST_SET = 2
"""Images that batch norm needs."""


def relearn_steps(
    model: Classifier, forget: LabelledImages, section: RelearnSection, *, seed: int, device: torch.device | str
) -> int:
    """Return the optimiser steps until the accuracy on the forget set is there again; ``max_steps`` if it is not.

    Plain SGD without momentum at a constant rate, in training mode, on a copy of the model.

    Args:
        model: moved to ``device``, otherwise left as it was.
        forget: what to learn again, at least :data:`SMALLEST_SET` images.
        section: how to train, and which accuracy to wait for.
        seed: of batches, dropout and the draw of the images measured.
        device: where to compute.
    """
    device = torch.device(device)
    # All of it: whoever has the weights is not bound by what the unlearning froze.
    learner = copy.deepcopy(model).to(device).requires_grad_(True)
    plan = BatchPlan(len(forget), section.batch_size, seed)
    objective = SupervisedObjective(forget, plan, flip=False, device=device, rank=0, num_processes=1)
    optimizer = torch.optim.SGD(learner.parameters(), lr=section.learning_rate)
    measured = draw_images(forget, MEASURED_IMAGES, seed, device)
    with torch.random.fork_rng():
        for step in range(section.max_steps):
            if accuracy(predict(learner, measured, batch_size=MEASURED_IMAGES, device=device)) >= section.accuracy:
                return step
            seed_step(seed, step, 0)
            optimizer.zero_grad()
            objective.step_loss(learner, step).loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return section.max_steps
