"""The one training loop: SGD with a cosine schedule under Accelerate, with an injected objective."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn
from tqdm import tqdm

from dlfd_ops.errors import Diverged
from dlfd_ops.models.classifier import Classifier, Precision
from dlfd_ops.models.precision import computing_in
from dlfd_ops.training.checkpoints import ResumeCheckpoint
from dlfd_ops.training.distributed import share_buffers, unwrapped
from dlfd_ops.training.observer import TrainingObserver
from dlfd_ops.training.seeding import seed_step

LOG_EVERY = 10
"""Optimiser steps between two logged points: reading a number off a device makes it wait."""


@dataclass(frozen=True)
class StepLoss:
    """What an objective returns for one step.

    Attributes:
        loss: scalar to minimise; its mean over the processes is the loss of the global batch.
        metrics: scalars to log, detached.
    """

    loss: Tensor
    metrics: Mapping[str, Tensor]


class Objective(ABC):
    """What is minimised; the loop knows nothing of it but this.

    ``model`` is the module itself, but wrapped for several processes in :meth:`step_loss`.
    """

    def freeze(self, model: nn.Module) -> None:
        """Take ``requires_grad`` off what must not train, at every start and before anything else."""

    def begin(self, model: nn.Module) -> None:
        """Change the model once before the first step; a resumed run restores instead."""

    @abstractmethod
    def step_loss(self, model: nn.Module, step: int) -> StepLoss:
        """Return the loss of step ``step`` (from 0) of this process; sets the model's mode (training or evaluation)."""

    def before_update(self, model: nn.Module) -> None:
        """Change the gradients before they are clipped and applied."""

    def after_update(self, model: nn.Module) -> None:
        """Change the weights after the optimiser's step."""

    def finish(self, model: nn.Module) -> None:
        """Choose the final weights once after the last step."""

    def state(self) -> dict[str, Tensor]:
        """Return what must survive a restart beyond model and optimiser."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take back what :meth:`state` returned."""


@dataclass(frozen=True)
class LoopSettings:
    """How long and how fast.

    Attributes:
        title: text beside the progress bar.
        num_steps: optimiser steps of the whole run.
        steps_per_epoch: for the epoch metrics.
        learning_rate: at the start; cosine to zero over ``num_steps``.
        momentum: of the SGD.
        weight_decay: of the SGD.
        gradient_clip: largest norm of the gradient, or None.
        checkpoint_every: steps between two resume checkpoints.
        seed: of dropout and augmentation.
        precision: that the model computes in during the run.
    """

    title: str
    num_steps: int
    steps_per_epoch: int
    learning_rate: float
    momentum: float
    weight_decay: float
    gradient_clip: float | None
    checkpoint_every: int
    seed: int
    precision: Precision


def run_loop(
    accelerator: Accelerator,
    model: Classifier,
    objective: Objective,
    settings: LoopSettings,
    *,
    checkpoint: ResumeCheckpoint,
    observer: TrainingObserver,
) -> float:
    """Minimise ``objective`` over ``model`` in place, resuming from ``checkpoint`` where it holds a state.

    Every process calls it; rank 0 alone shows progress, informs the observer and writes checkpoints.

    Returns:
        Seconds of training by the wall clock, those before an interruption included.

    Raises:
        Diverged: a loss that is logged, or a weight in the end, is not finite.
    """
    model.to(accelerator.device)
    objective.freeze(model)
    optimizer = torch.optim.SGD(
        [parameter for parameter in model.parameters() if parameter.requires_grad],
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )
    first, extra = checkpoint.load(model, optimizer)
    earlier = extra.pop("seconds", torch.zeros(())).item()
    started = time.perf_counter()
    with computing_in(model, settings.precision):
        if first:
            objective.restore(extra)
        else:
            objective.begin(model)
        accelerator.ddp_handler = DistributedDataParallelKwargs(
            broadcast_buffers=False,  # share_buffers does, after each step
            # Somebody else's forward pass may leave a layer out, for whose gradient the processes would wait.
            find_unused_parameters=model.card.factory is not None,
        )
        wrapped = accelerator.prepare(model)
        optimizer = accelerator.prepare(optimizer)
        for step in _steps(accelerator, first, settings):
            seed_step(settings.seed, step, accelerator.process_index)
            result = _optimise(accelerator, wrapped, optimizer, objective, settings, step=step)
            done = step + 1
            if accelerator.is_main_process:
                _inform(observer, result, settings, done)
                if done % settings.checkpoint_every == 0 and done < settings.num_steps:
                    seconds = torch.tensor(earlier + time.perf_counter() - started)
                    checkpoint.save(done, model, _plain(optimizer), {**objective.state(), "seconds": seconds})
        objective.finish(model)
    if not all(bool(parameter.isfinite().all()) for parameter in model.parameters()):
        raise _diverged(settings, "weights that are not")
    if accelerator.device.type == "cuda":
        torch.cuda.synchronize(accelerator.device)  # the card works on when the last step is handed to it
    accelerator.wait_for_everyone()
    # It keeps what it prepared, and a benchmark runs a hundred loops in one process.
    accelerator.free_memory()
    return float(earlier) + time.perf_counter() - started


def cosine_rate(step: int, num_steps: int, largest: float) -> float:
    """Return the learning rate of step ``step`` (from 0): from ``largest`` down to zero after ``num_steps``."""
    return largest * 0.5 * (1 + math.cos(math.pi * step / num_steps))


def _optimise(
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    objective: Objective,
    settings: LoopSettings,
    *,
    step: int,
) -> StepLoss:
    for group in optimizer.param_groups:
        group["lr"] = cosine_rate(step, settings.num_steps, settings.learning_rate)
    result = objective.step_loss(model, step)
    optimizer.zero_grad()
    accelerator.backward(result.loss)
    objective.before_update(unwrapped(model))
    if settings.gradient_clip is not None:
        accelerator.clip_grad_norm_(model.parameters(), settings.gradient_clip)
    optimizer.step()
    share_buffers(unwrapped(model))
    objective.after_update(unwrapped(model))
    return result


def _inform(observer: TrainingObserver, result: StepLoss, settings: LoopSettings, done: int) -> None:
    epoch, position = divmod(done, settings.steps_per_epoch)
    if position and done % LOG_EVERY and done < settings.num_steps:
        return
    metrics = {"loss": float(result.loss.detach()), **{name: float(value) for name, value in result.metrics.items()}}
    if not math.isfinite(metrics["loss"]):
        raise _diverged(settings, f"a loss of {metrics['loss']} in step {done} of {settings.num_steps}")
    observer.on_step(done, metrics)
    if position == 0:
        observer.on_epoch(epoch, metrics)


def _diverged(settings: LoopSettings, received: str) -> Diverged:
    return Diverged(f"{settings.title} must stay finite", received=received, remedy="give it a lower learning rate")


def _steps(accelerator: Accelerator, first: int, settings: LoopSettings) -> Iterable[int]:
    # None lets tqdm decide: the bar is shown on a terminal, hidden in a log.
    hidden = None if accelerator.is_main_process else True
    steps = range(first, settings.num_steps)
    return tqdm(steps, desc=settings.title, initial=first, total=settings.num_steps, disable=hidden)


def _plain(optimizer: torch.optim.Optimizer) -> torch.optim.SGD:
    plain = getattr(optimizer, "optimizer", optimizer)
    assert isinstance(plain, torch.optim.SGD)
    return plain
