"""Per-sample membership attacks that ask reference models how hard a sample is.

A photo with a low loss may be remembered, or be easy. Models that never saw it tell the two apart, which a threshold on
the loss alone cannot. A reference must not have been trained on any sample that is scored: neither on the forget set
nor on unseen people. A model must never be attacked with itself as a reference: its scores would be constant.

Scores are high for members. A loss is minus the logarithm of the probability of the true label; of several labels it
is the mean, so the probability meant is the geometric mean over the labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.membership import Losses, Roc, roc

GAMMA = 2.0
"""How many times likelier a sample must have become than one of the population, as in the paper's experiments."""
OFFLINE_A = 0.3
"""The paper's value for ten classes of small images; 1 takes a sample that a model saw for as likely as before."""


@dataclass(frozen=True, eq=False)
class ReferenceLosses:
    """What R models that never saw the forget set say, at least one; rows are models, columns samples.

    Attributes:
        forget: (R, M) losses of the forget set, in its order.
        validation: (R, Z) losses of the population that RMIA compares with.
        test: (R, U) losses of the unseen people.
    """

    forget: Losses
    validation: Losses
    test: Losses


def calibrated_scores(target: Losses, references: Losses) -> Losses:
    """Return how much lower each loss is than the references' mean, (N,) in nats.

    Difficulty calibration with the loss as the score (Watson et al. 2022, arXiv 2111.08440).

    Args:
        target: (N,) losses under the model attacked.
        references: (R, N) losses under the references.

    Raises:
        BadInput: there is no reference, the shapes do not fit, or a loss is not finite.
    """
    _require_fitting(target, references)
    means: Losses = references.mean(axis=0)
    return means - target


def rmia_scores(
    target: Losses,
    references: Losses,
    population: Losses,
    population_references: Losses,
    *,
    gamma: float = GAMMA,
    offline_a: float = OFFLINE_A,
) -> Losses:
    """Return the offline RMIA score of each sample, (N,) in [0, 1].

    The share of a population of unseen samples z that x outdoes: ``(p(x) / Pr(x)) / (p(z) / Pr(z)) >= gamma``, where p
    is the target's probability of the true label (Zarifzadeh, Liu & Shokri 2024, arXiv 2312.03262).
    ``Pr(z)`` is the references' mean probability. For x, which the target may have seen, it is the mean of models that
    did not and of models that did, and the latter are not at hand: ``Pr(x) = ((1 + a) * mean + 1 - a) / 2``.

    The score rises with x's own ratio in steps of 1 / Z, so that a small population ties the highest scores and hides
    members at the lowest false-positive rates.

    Args:
        target: (N,) losses of the samples under the model attacked.
        references: (R, N) their losses under the references.
        population: (Z,) losses under the model attacked of people whom no model saw, Z at least 1.
        population_references: (R, Z) their losses under the references.
        gamma: by how much x must outdo z, above 0.
        offline_a: a of the formula, 0 to 1.

    Raises:
        BadInput: there is no reference or no population, the shapes do not fit, or a loss is not finite.
    """
    _require_fitting(target, references)
    _require_fitting(population, population_references)
    if population.size == 0:
        raise BadInput("RMIA needs a population", received="an empty set", remedy="give the validation split a share")
    saw_it = math.log((1 - offline_a) / 2) if offline_a < 1 else -math.inf
    ratio = -target - np.logaddexp(_log_mean(references) + math.log((1 + offline_a) / 2), saw_it)
    needed = np.sort(-population - _log_mean(population_references)) + math.log(gamma)
    return np.searchsorted(needed, ratio, side="right") / population.size


def roc_of_scores(members: Losses, unseen: Losses) -> Roc:
    """Return the ROC of the attack that calls a sample a member when its score is at least a threshold.

    AUC and rates do not depend on the sizes of the two sets, so none is thinned out to balance them.

    Args:
        members: (M,) finite scores of samples that the original was trained on.
        unseen: (U,) finite scores of samples that no model was trained on, U at least 1.

    Raises:
        BadInput: a score is not finite, or ``unseen`` is empty.
    """
    return roc(-members, -unseen)


def _log_mean(references: Losses) -> NDArray[np.float64]:
    """Return the logarithm of the references' mean probability, (N,)."""
    from scipy.special import logsumexp

    mean: NDArray[np.float64] = logsumexp(-references, axis=0) - math.log(len(references))
    return mean


def _require_fitting(target: Losses, references: Losses) -> None:
    if references.ndim != 2 or len(references) == 0 or references.shape[1:] != target.shape:
        raise BadInput(
            "each of one or more reference models must have one loss a sample",
            received=f"losses of shape {references.shape} for {target.size} samples",
            remedy="measure the references on the same samples, in the same order",
        )
    if not (np.isfinite(target).all() and np.isfinite(references).all()):
        raise BadInput(
            "every loss must be finite", received="others", remedy="a model has diverged: train it with a lower rate"
        )
