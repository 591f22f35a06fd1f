"""Feature distancing: the perturbation of retain images that the paper's method trains on."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def distance_features(
    images: Tensor,
    gain: Callable[[Tensor], Tensor],
    *,
    steps: int,
    step_size: float,
    bound: float,
) -> Tensor:
    """Return ``images`` perturbed by K sign-gradient ascent steps on ``gain``.

    The perturbation delta starts at zero and follows

        delta <- clip(delta + step_size * sign(grad gain(images + delta)), -bound, bound)

    with images + delta kept in [0, 1] (Choi & Na, arXiv 2409.14747: the gain is the weighted transport cost to the
    forget features minus the weighted classification loss). The gradient is taken through the perturbed images.

    Args:
        images: (B, 3, S, S) in [0, 1].
        gain: scalar function of perturbed images, differentiable.
        steps: K.
        step_size: in pixel values of [0, 1].
        bound: largest change of a pixel, in pixel values of [0, 1].

    Returns:
        (B, 3, S, S) in [0, 1], detached.
    """
    clean = images.detach()
    perturbed = clean.clone()
    for _ in range(steps):
        perturbed.requires_grad_(True)
        (gradient,) = torch.autograd.grad(gain(perturbed), perturbed)
        with torch.no_grad():
            delta = (perturbed + step_size * gradient.sign() - clean).clamp_(-bound, bound)
            perturbed = (clean + delta).clamp_(0, 1)
    return perturbed.detach()
