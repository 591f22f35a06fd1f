"""The unlearning epoch as an objective of the shared loop: batches, dynamic schedule, and a method's loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.models.classifier import to_unit
from dlfd_ops.training.batches import BatchPlan, PlannedPixels
from dlfd_ops.training.distributed import from_first, unwrapped
from dlfd_ops.training.loop import Objective, StepLoss
from dlfd_ops.unlearning.dlfd.schedule import DynamicForgetting
from dlfd_ops.unlearning.method import Batch, UnlearningMethod, UnlearningStep

ForgettingProbe = Callable[[nn.Module], float]
"""Returns the forgetting score of a model, negative where the forget set is harder than the validation set."""


@dataclass(frozen=True)
class Source:
    """A set whose batches come to the device in a planned order."""

    pixels: PlannedPixels
    targets: Tensor

    @classmethod
    def on(cls, device: torch.device, data: LabelledImages, plan: BatchPlan) -> Source:
        """Return ``data`` for ``device``, drawn by ``plan``."""
        return cls(PlannedPixels(data.images, plan, device), data.targets.to(device))

    def batch(self, step: int, *, rank: int, num_processes: int) -> Batch:
        """Return one process's share of the batch of ``step``."""
        pixels, indices = self.pixels.batch(step, rank=rank, num_processes=num_processes)
        return Batch(to_unit(pixels), self.targets[indices], indices)


class UnlearningObjective(Objective):
    """One method over retain batches, each beside a forget batch, under the dynamic schedule.

    Args:
        method: whose loss is minimised.
        retain: the retain set; one pass over it is one epoch.
        forget: the forget set, drawn anew as often as needed.
        anchor: the anchor set, likewise.
        probe: tells how much is left to forget; runs on every process, and what rank 0 finds holds for all.
        schedule: when the probe runs, and when to push.
        num_steps: of the whole run.
        rank: of this process.
        num_processes: that share a global batch.
    """

    def __init__(
        self,
        method: UnlearningMethod,
        *,
        retain: Source,
        forget: Source,
        anchor: Source,
        probe: ForgettingProbe,
        schedule: DynamicForgetting,
        num_steps: int,
        rank: int,
        num_processes: int,
    ) -> None:
        self._method = method
        self._retain = retain
        self._forget = forget
        self._anchor = anchor
        self._probe = probe
        self._schedule = schedule
        self._num_steps = num_steps
        self._share = {"rank": rank, "num_processes": num_processes}
        self._score = float("nan")
        self._frozen: Sequence[nn.Module] = ()

    def freeze(self, model: nn.Module) -> None:
        """Keep the layers that the method leaves alone out of the training."""
        self._frozen = self._method.frozen(model)
        for layer in self._frozen:
            for parameter in layer.parameters(recurse=False):
                parameter.requires_grad_(False)

    def begin(self, model: nn.Module) -> None:
        """Let the method prepare the model."""
        self._method.prepare(model)

    def step_loss(self, model: nn.Module, step: int) -> StepLoss:
        """Probe where it is due, then return the method's loss of the step."""
        if self._method.uses_probe and self._schedule.probe_due(step):
            self._score = _agreed(self._probe(unwrapped(model)), model)
        self._set_modes(model)
        push = self._push()
        result = self._method.loss(
            model,
            UnlearningStep(
                retain=self._retain.batch(step, **self._share),
                forget=self._forget.batch(step, **self._share),
                anchor=self._anchor.batch(step, **self._share),
                step=step,
                num_steps=self._num_steps,
                push=push,
            ),
        )
        if not self._method.uses_probe:
            return result
        schedule = {"signed_forgetting_score": torch.tensor(self._score), "push": torch.tensor(float(push))}
        return StepLoss(result.loss, {**result.metrics, **schedule})

    def before_update(self, model: nn.Module) -> None:
        """Let the method change the gradients."""
        self._method.before_update(model)

    def after_update(self, model: nn.Module) -> None:
        """Let the method change the weights."""
        self._method.after_update(model)

    def finish(self, model: nn.Module) -> None:
        """Let the method choose the final weights."""
        self._method.finish(model)

    def state(self) -> dict[str, Tensor]:
        """Return the probe's last score and what the method carries."""
        carried = {f"method.{name}": value for name, value in self._method.state().items()}
        return {"score": torch.tensor(self._score, dtype=torch.float64), **carried}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take back what :meth:`state` returned."""
        self._score = float(state["score"])
        prefix = "method."
        self._method.restore({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})

    def _push(self) -> bool:
        if not self._method.uses_probe:
            return True
        return self._schedule.push(self._score if self._method.rests_past_parity else abs(self._score))

    def _set_modes(self, model: nn.Module) -> None:
        model.train(self._method.training_mode)
        for layer in self._frozen:
            # The layer's own flag: its children may train.
            layer.training = False


def _agreed(score: float, model: nn.Module) -> float:
    device = next(model.parameters()).device
    return float(from_first(torch.tensor(score, dtype=torch.float64, device=device)))
