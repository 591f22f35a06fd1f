"""U-LiRA: is a sample's confidence that of models which forgot it, or of models which never saw it?

A per-sample attack on unlearning (Hayes et al. 2024, arXiv 2403.01218), after LiRA (Carlini et al. 2022, arXiv
2112.03570). It needs shadow models: trained and made to forget in the same way, with other samples. Here is its
statistic alone; the benchmark trains shadows and decides what they forget.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.membership import Losses

OWN_VARIANCE_FROM = 32
"""Shadow models of a kind from which each sample has a variance of its own; LiRA takes 64, half of them of a kind."""
_SMALLEST_LOSS = 1e-15
"""About where a float64 probability ends: a confidence of 34."""
_SMALLEST_DEVIATION = 1e-3
"""In logits: shadows that all agree must not make a density infinite."""


def logit_confidence(losses: Losses) -> Losses:
    """Return the logit of the probability of the true label, ``log(p / (1 - p))``, which is close to normal.

    Args:
        losses: in nats, any shape.
    """
    bounded = np.maximum(losses, _SMALLEST_LOSS)
    confidence: Losses = -bounded - np.log(-np.expm1(-bounded))
    return confidence


def ulira_scores(target: Losses, shadows: Losses, forgot: NDArray[np.bool_]) -> Losses:
    """Return the log likelihood ratio of each sample: above 0 the target rather forgot it than never saw it.

    Both kinds of shadows are taken as normal, sample by sample. Of few shadows all samples of a kind share the mean of
    their variances; LiRA shares the variance over all samples, in which the differences between samples count as noise.

    Args:
        target: (S,) logit confidences under the model attacked.
        shadows: (N, S) logit confidences under N shadow models. Where each shadow is a pair of an unlearned and a
            retrained model, these are the rows of both.
        forgot: (N, S) whether a shadow was trained on a sample and made to forget it (true), or never saw it (false).
            Every sample needs at least two shadows of each kind.

    Raises:
        BadInput: the shapes do not fit, a number is not finite, or a sample has too few shadows of a kind.
    """
    _require_shadows(target, shadows, forgot)
    remembered, never = _log_density(target, shadows, forgot), _log_density(target, shadows, ~forgot)
    return remembered - never


def _log_density(target: Losses, shadows: Losses, chosen: NDArray[np.bool_]) -> Losses:
    """Return the log density of each confidence among the chosen shadows', less a constant."""
    count = chosen.sum(axis=0)
    mean = np.where(chosen, shadows, 0).sum(axis=0) / count
    variance = (np.where(chosen, shadows - mean, 0) ** 2).sum(axis=0) / (count - 1)
    if count.min() < OWN_VARIANCE_FROM:
        variance = np.full_like(variance, variance.mean())
    deviation = np.maximum(np.sqrt(variance), _SMALLEST_DEVIATION)
    density: Losses = -0.5 * ((target - mean) / deviation) ** 2 - np.log(deviation)
    return density


def _require_shadows(target: Losses, shadows: Losses, forgot: NDArray[np.bool_]) -> None:
    if target.ndim != 1 or shadows.ndim != 2 or shadows.shape[1:] != target.shape or forgot.shape != shadows.shape:
        raise BadInput(
            "each shadow model must have one confidence a sample, and say which it forgot",
            received=f"shapes {shadows.shape} and {forgot.shape} for {target.size} samples",
            remedy="measure all shadows on the same samples",
        )
    if not (np.isfinite(target).all() and np.isfinite(shadows).all()):
        raise BadInput("every confidence must be finite", received="others", remedy="leave a diverged shadow out")
    fewest = min(int(kind.sum(axis=0).min(initial=len(kind))) for kind in (forgot, ~forgot))
    if fewest < 2:
        raise BadInput(
            "every sample needs two shadow models that forgot it and two that never saw it",
            received=f"a sample with {fewest} of a kind",
            remedy="train more shadow models",
        )
