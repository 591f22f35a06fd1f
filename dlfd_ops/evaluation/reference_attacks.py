"""Per-sample membership attacks that ask reference models how hard a sample is.

A photo with a low loss may be remembered, or be easy. Models that never saw it tell the two apart, which a threshold on
the loss alone cannot. A reference must not have been trained on any sample that is scored: neither on the forget set
nor on unseen people. A model must never be attacked with itself as a reference: its scores would be constant.

Scores are high for members. A loss is minus the logarithm of the probability of the true label; of several labels it
is the mean, so the probability meant is the geometric mean over the labels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.curves import rounded_list
from dlfd_ops.evaluation.membership import Losses

REFERENCE_SETS = ("forget", "validation", "test")
"""Those that a reference model is asked about."""
GAMMA = 1.0
"""How many times likelier a sample must have become than one of the population. A larger one asks for more than models
that learned little ever show: every score is then 0, and the attack blind."""
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

    @classmethod
    def stacked(cls, said: Sequence[Mapping[str, Losses]]) -> ReferenceLosses:
        """Return what several models say, each on every one of :data:`REFERENCE_SETS`."""
        return cls(**{name: np.stack([losses[name] for losses in said]) for name in REFERENCE_SETS})

    def __len__(self) -> int:
        return len(self.forget)

    def to_json(self) -> dict[str, Any]:
        """Return the losses as JSON values, rounded to six significant digits."""
        return {name: [rounded_list(row) for row in rows] for name, rows in vars(self).items()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ReferenceLosses:
        """Read what :meth:`to_json` returned.

        Raises:
            KeyError: a set is missing.
            ValueError: a set is no table of finite numbers, or the sets are of other numbers of models.
        """
        sets = [np.asarray(value[name], dtype=np.float64) for name in ("forget", "validation", "test")]
        if any(rows.ndim != 2 or len(rows) != len(sets[0]) or not np.isfinite(rows).all() for rows in sets):
            raise ValueError("references must be a table of finite losses for each set")
        return cls(*sets)


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
    ``Pr`` is the mean over models that saw a sample and models that did not. The former are not at hand, so it is taken
    as ``((1 + a) * mean + 1 - a) / 2`` of the references' mean, of x and of z alike: a sample that nobody saw then
    outdoes half of the population.

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
    ratio = -target - _log_marginal(references, offline_a)
    needed = np.sort(-population - _log_marginal(population_references, offline_a)) + math.log(gamma)
    return np.searchsorted(needed, ratio, side="right") / population.size


def _log_marginal(references: Losses, offline_a: float) -> NDArray[np.float64]:
    """Return the logarithm of Pr, (N,): in logarithms throughout, as probabilities of a ruined model underflow."""
    from scipy.special import logsumexp

    mean = logsumexp(-references, axis=0) - math.log(len(references))
    saw_it = math.log((1 - offline_a) / 2) if offline_a < 1 else -math.inf
    marginal: NDArray[np.float64] = np.logaddexp(mean + math.log((1 + offline_a) / 2), saw_it)
    return marginal


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
