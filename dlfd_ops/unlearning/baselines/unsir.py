"""UNSIR: impair the model with noise that it gets most wrong, then repair it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from dlfd_ops.models.losses import sample_losses
from dlfd_ops.training.loop import StepLoss
from dlfd_ops.unlearning.method import Resources, UnlearningMethod, UnlearningStep
from dlfd_ops.unlearning.passes import GRADIENT_BATCH_SIZE, logits_of

if TYPE_CHECKING:
    from dlfd_ops.params import UnsirSection


class Unsir(UnlearningMethod):
    """Learn images of noise that maximise the loss for the labels to forget; teach them; then repair on the retain set.

    Tarun, Chundawat, Mandal & Kankanhalli, "Fast Yet Effective Machine Unlearning" (TNNLS 2023, arXiv 2111.08947).
    Before the first step the noise n, which starts standard normal in the model's normalised units (so it may lie
    outside of [0, 1] in pixel values), minimises by Adam

        E[-loss(original(n), y_forget)] + c * E||n||

    Impair: E[loss] over the noise, labelled y_forget, and a retain batch together. Repair: E_retain[loss].

    Departures: the paper forgets whole classes with one noise a class. People share their classes with those who stay,
    so the noise carries the labels of the people to forget, in their proportions. Impair and repair are two parts of
    one run (two epochs with half each is the paper's), under the loop's one learning rate. The paper's subset of the
    retain set is what the impair part draws.
    """

    def __init__(self, settings: UnsirSection, resources: Resources) -> None:
        self._settings = settings
        self._resources = resources
        forget = resources.forget
        generator = torch.Generator().manual_seed(resources.seed)
        chosen = torch.randperm(len(forget), generator=generator)[: settings.noise_images]
        self._labels = forget.targets[chosen.to(forget.targets.device)].to(resources.device)
        self._start = torch.randn(len(chosen), *forget.images.shape[1:], generator=generator).to(resources.device)
        self._noise = self._start

    def prepare(self, model: nn.Module) -> None:
        """Learn the noise against the original."""
        original, noise = self._resources.original, self._start.clone().requires_grad_(True)
        optimizer = torch.optim.Adam([noise], lr=self._settings.noise_rate)
        for _ in range(self._settings.noise_steps):
            optimizer.zero_grad()
            parts = (torch.split(tensor, GRADIENT_BATCH_SIZE) for tensor in (noise, self._labels))
            for part, labels in zip(*parts, strict=True):
                error = sample_losses(original(original.denormalise(part)).logits, labels)
                size = part.flatten(1).norm(dim=1)
                ((self._settings.noise_penalty * size - error).sum() / len(noise)).backward()
            optimizer.step()
        self._noise = noise.detach()

    def loss(self, model: nn.Module, step: UnlearningStep) -> StepLoss:
        """Return the mean loss of noise and retain batch in the first part of the run, of the retain batch after it.

        The last step repairs, however short the run is.
        """
        if step.progress >= self._settings.impair_share or step.step == step.num_steps - 1:
            logits = model(step.retain.images).logits
            return StepLoss(sample_losses(logits, step.retain.targets).mean(), {})
        rows = step.forget.indices % len(self._noise)
        noise = self._resources.original.denormalise(self._noise[rows])
        logits = torch.cat(logits_of(model, step.retain.images, noise))
        return StepLoss(sample_losses(logits, torch.cat([step.retain.targets, self._labels[rows]])).mean(), {})

    def state(self) -> dict[str, Tensor]:
        """Return the noise."""
        return {"noise": self._noise}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take back the noise."""
        self._noise = state["noise"].to(self._resources.device)
