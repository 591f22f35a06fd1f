"""What every unlearning method is: an objective over a retain batch beside a forget batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.models.classifier import Classifier
from dlfd_ops.training.loop import StepLoss


@dataclass(frozen=True)
class Batch:
    """Labelled images on the device.

    Attributes:
        images: (B, 3, S, S) floats in [0, 1].
        targets: (B,) int64, or (B, L) float32 for several binary labels.
        indices: (B,) int64, the samples' places in the set that they come from.
    """

    images: Tensor
    targets: Tensor
    indices: Tensor


@dataclass(frozen=True)
class UnlearningStep:
    """What a method sees of one step, on this process.

    Attributes:
        retain: this process's share of the retain batch.
        forget: this process's share of the forget batch.
        anchor: this process's share of a batch of people that the original never trained on.
        step: from 0.
        num_steps: of the whole run.
        push: whether to push the forget set away (the dynamic schedule); otherwise only repair. Always, for a method
            that does not use the probe.
    """

    retain: Batch
    forget: Batch
    anchor: Batch
    step: int
    num_steps: int
    push: bool

    @property
    def progress(self) -> float:
        """Of the run, from 0 to below 1."""
        return self.step / self.num_steps


@dataclass(frozen=True)
class Resources:
    """What a method may use beside the batches.

    Attributes:
        original: the model before unlearning, frozen, in evaluation mode, on the device.
        forget: the forget set; uint8 images on the CPU or the device, like those of the other sets.
        anchor: people that the original never trained on, for the steps to use.
        unseen: more of them, whom no step sees, so that they stay strangers to the model in the making.
        device: where the batches are.
        seed: for draws of its own.
    """

    original: Classifier
    forget: LabelledImages
    anchor: LabelledImages
    unseen: LabelledImages
    device: torch.device
    seed: int


class UnlearningMethod(ABC):
    """An objective, and nothing but an objective: the loop, the batches and the probe are shared.

    A method sets what is particular to it and inherits the rest: the defaults train all weights on :meth:`loss` and
    carry nothing from step to step. ``model`` is the classifier itself everywhere but in :meth:`loss`, where it may be
    wrapped for several processes: a loss sends its images through it in one forward pass.
    """

    training_mode: bool = True
    """Whether the model is in training mode in a step (dropout, moving batch-norm statistics)."""

    uses_probe: bool = False
    """Whether the method looks at ``push``; the probe does not run for one that does not."""

    rests_past_parity: bool = True
    """Whether the push rests, too, while the forget set is already harder than the validation set; else the forgetting
    score has no sign, as in the paper, and a push goes on in whichever direction the losses differ."""

    def frozen(self, model: nn.Module) -> Sequence[nn.Module]:
        """Return the layers that the method leaves as they are, normalisation statistics included."""
        return ()

    def prepare(self, model: nn.Module) -> None:
        """Change the model, or learn something about it, once before the first step; never on resume."""

    @abstractmethod
    def loss(self, model: nn.Module, step: UnlearningStep) -> StepLoss:
        """Return the loss of a step; its mean over the processes is the loss of the global batch."""

    def before_update(self, model: nn.Module) -> None:
        """Change the gradients before they are clipped and applied."""

    def after_update(self, model: nn.Module) -> None:
        """Change the weights after the optimiser's step (what momentum and weight decay must not move)."""

    def finish(self, model: nn.Module) -> None:
        """Choose the final weights, once after the last step."""

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed run needs to go on as an unbroken one would."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take back what :meth:`state` returned."""
