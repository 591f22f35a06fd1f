"""l1-sparse: fine-tuning that makes the model sparse on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from dlfd_ops.models.losses import sample_losses
from dlfd_ops.training.distributed import unwrapped
from dlfd_ops.training.loop import StepLoss
from dlfd_ops.unlearning.dlfd.schedule import Linear
from dlfd_ops.unlearning.method import UnlearningMethod, UnlearningStep

if TYPE_CHECKING:
    from dlfd_ops.params import L1SparseSection


class L1Sparse(UnlearningMethod):
    """Minimise the mean loss on the retain set plus a penalty on the l1 norm of the weights that decays to zero.

    Jia, Liu, Ram, Yao, Liu, Liu, Sharma & Liu, "Model Sparsity Can Simplify Machine Unlearning" (NeurIPS 2023, arXiv
    2304.04934). Objective, with t / T the progress of the run:

        E_retain[loss] + g(t) * sum |weights|,   g(t) = 2 * (1 - t / T) * g

    It is the paper's best schedule of three. Departures: the penalty falls from step to step and not from epoch to
    epoch, because the run is one epoch long.
    """

    def __init__(self, settings: L1SparseSection) -> None:
        self._penalty = Linear(start=2 * settings.penalty, end=0.0)

    def loss(self, model: nn.Module, step: UnlearningStep) -> StepLoss:
        """Return the mean loss of the retain batch plus the penalty."""
        logits = model(step.retain.images).logits
        norm = torch.stack([weights.abs().sum() for weights in unwrapped(model).parameters()]).sum()
        retain = sample_losses(logits, step.retain.targets).mean()
        total = retain + self._penalty(step.progress) * norm
        return StepLoss(total, {"retain_loss": retain.detach(), "l1_norm": norm.detach()})
