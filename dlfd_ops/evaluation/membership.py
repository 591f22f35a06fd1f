"""Membership inference from the loss: can an attacker tell the forget set from people never seen?

Two readings of one idea. The paper's attack fits a logistic regression to the per-sample loss and reports its accuracy;
the raw loss as a score (a lower loss says "member") gives the ROC, hence AUC and the true-positive rate at a low
false-positive rate, which an average over the whole set hides (Carlini et al. 2022, arXiv 2112.03570).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfd_ops.errors import BadInput, Diverged

Losses = NDArray[np.float64]
CHANCE = 0.5
SURE = 2.0
"""Standard errors beyond which an AUC is taken to differ."""
FEWEST_ATTACKED = 2
"""Losses of either kind without which the paper's attack has nothing to learn from."""


@dataclass(frozen=True, eq=False)
class Roc:
    """The attack's ROC over every threshold of the loss, from (0, 0) to (1, 1).

    Attributes:
        fpr: (K,) share of unseen samples taken for members, not decreasing.
        tpr: (K,) share of members recognised, not decreasing.
    """

    fpr: Losses
    tpr: Losses

    @property
    def auc(self) -> float:
        """Area under the curve: the chance that a member's loss is below an unseen one's, ties counted half.

        Above 0.5 members have lower losses (they are remembered), below it higher ones (forgetting overshoots).
        """
        return float(np.trapezoid(self.tpr, self.fpr))

    def tpr_at(self, fpr: float) -> float:
        """Return the largest true-positive rate that a threshold reaches at a false-positive rate of at most ``fpr``.

        No interpolation between thresholds. With fewer than 1 / ``fpr`` unseen samples that is the rate with no false
        positive at all: a lower bound of what a larger unseen set would show.
        """
        return float(self.tpr[self.fpr <= fpr].max())


def roc(members: Losses, unseen: Losses) -> Roc:
    """Return the ROC of the attack that calls a sample a member when its loss is at most a threshold.

    No member at all gives the chance line: there is nobody to recognise.

    Args:
        members: (M,) finite losses of samples that the original was trained on.
        unseen: (U,) finite losses of samples that no model was trained on, U at least 1.

    Raises:
        BadInput: a loss is not finite, or ``unseen`` is empty.
    """
    require_losses(members, unseen)
    if members.size == 0:
        return Roc(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    thresholds = np.unique(np.concatenate([members, unseen]))
    return Roc(_share_at_most(unseen, thresholds), _share_at_most(members, thresholds))


def auc_standard_error(auc: float, members: float, unseen: float) -> float:
    """Return the standard error of an AUC by the sizes of its sets (Hanley & McNeil 1982, Radiology 143:29-36).

    The formula takes losses as exponential, which matters little, and photos as independent of each other, which
    photos of one person are not: see :func:`~dlfd_ops.evaluation.effective_size.auc_error_by_people`.

    Args:
        auc: the AUC, 0 to 1.
        members: number of independent member losses; without any the AUC is 0.5 by convention, without error.
        unseen: number of independent unseen losses, at least 1.
    """
    if members == 0:
        return 0.0
    two_members = 2 * auc**2 / (1 + auc) - auc**2  # covariance of two comparisons with the same unseen sample
    two_unseen = auc / (2 - auc) - auc**2
    variance = auc * (1 - auc) + (members - 1) * two_members + (unseen - 1) * two_unseen
    return math.sqrt(max(variance, 0.0) / (members * unseen))


@dataclass(frozen=True, eq=False)
class AttackTrials:
    """How the paper's attack did on every sample that it was not fitted on.

    Attributes:
        member_hits: (M,) number of splits that held the member out and recognised it.
        member_trials: (M,) number of splits that held it out.
        unseen_hits: (U,) likewise, taken for unseen.
        unseen_trials: (U,) number of splits that held it out.
    """

    member_hits: Losses
    member_trials: Losses
    unseen_hits: Losses
    unseen_trials: Losses

    @property
    def accuracy(self) -> float:
        """Share of the trials that hit; chance where there are none."""
        trials = self.member_trials.sum() + self.unseen_trials.sum()
        return float((self.member_hits.sum() + self.unseen_hits.sum()) / trials) if trials else CHANCE


def attack_accuracy(members: Losses, unseen: Losses, *, splits: int, seed: int) -> float:
    """Return the accuracy of the paper's attack, 0 to 1; 0.5 is chance: that of :func:`attack_trials`."""
    return attack_trials(members, unseen, splits=splits, seed=seed).accuracy


def attack_trials(members: Losses, unseen: Losses, *, splits: int, seed: int) -> AttackTrials:
    """Run the paper's attack.

    Logistic regression on the loss, over random splits with a tenth held out. Each split draws as many of the larger
    set as the smaller one has: on unbalanced sets the accuracy measures the share of the larger one, and a single draw
    for all splits would decide more than the model does.

    Fewer than two members leave nothing to train the attack on: there are no trials.

    Args:
        members: (M,) finite losses of samples that the original was trained on.
        unseen: (U,) finite losses of samples that no model was trained on, U at least 1.
        splits: number of splits.
        seed: of the draws.

    Raises:
        BadInput: a loss is not finite, or ``unseen`` is empty.
    """
    require_losses(members, unseen)
    hits, trials = (np.zeros(members.size + unseen.size) for _ in range(2))
    if min(members.size, unseen.size) >= FEWEST_ATTACKED:
        for held_out, hit in _attack_splits(members, unseen, splits=splits, seed=seed):
            hits[held_out] += hit
            trials[held_out] += 1
    return AttackTrials(hits[: members.size], trials[: members.size], hits[members.size :], trials[members.size :])


def _attack_splits(
    members: Losses, unseen: Losses, *, splits: int, seed: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    """Yield what each split held out, as places in members and unseen one after the other, and where it was right."""
    from sklearn.linear_model import LogisticRegression

    generator, losses = np.random.default_rng(seed), np.concatenate([members, unseen])[:, np.newaxis]
    size = min(members.size, unseen.size)
    held = math.ceil(0.1 * size)
    for _ in range(splits):
        drawn = np.stack(
            [
                generator.permutation(members.size)[:size],
                members.size + generator.permutation(unseen.size)[:size],
            ]
        )
        # As many of either kind held out: an attack that knows nothing scores exactly 0.5.
        held_out, fitted = drawn[:, :held].ravel(), drawn[:, held:].ravel()
        attack = LogisticRegression().fit(losses[fitted], fitted < members.size)
        yield held_out, attack.predict(losses[held_out]) == (held_out < members.size)


def require_losses(members: Losses, unseen: Losses) -> None:
    """Refuse losses that no attack can read.

    Raises:
        BadInput: a loss is not finite, or ``unseen`` is empty.
    """
    broken = int((~np.isfinite(members)).sum() + (~np.isfinite(unseen)).sum())
    if broken:
        raise Diverged(
            "every loss must be finite",
            received=f"{broken} of {members.size + unseen.size} that are not",
            remedy="the model has diverged: train or unlearn again with a lower learning rate",
        )
    if unseen.size == 0:
        raise BadInput(
            "a membership attack needs unseen images",
            received="an empty set",
            remedy="give the test and validation splits a share",
        )


def _share_at_most(losses: Losses, thresholds: Losses) -> Losses:
    # Counts are divided once, so that k of n equals the literal k/n: "at most 0.01" holds for 1 of 100.
    counts = np.searchsorted(np.sort(losses), thresholds, side="right")
    return np.concatenate([[0.0], counts / losses.size])
