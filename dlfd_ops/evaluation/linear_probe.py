"""A linear probe: do the features still tell the forgotten from people never seen?

A method may hide what it knows in the last layer alone. Whoever has the weights reads the features beneath it, so the
attacker here gets the features of known members and known non-members, and fits a logistic regression (Alain & Bengio
2016, arXiv 1610.01644). People are kept together: the probe is asked about people that it was not fitted on, or it
would recognise faces instead of membership.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dlfd_ops.evaluation.intervals import Weights, weighted_auc
from dlfd_ops.evaluation.membership import CHANCE, Losses

FOLDS = 5
_SHRINKAGE = 0.01
"""Inverse strength of the ridge penalty: there are often more features than photos, and noise must not be fitted."""
_STEPS = 1000


@dataclass(frozen=True, eq=False)
class LinearProbe:
    """What the probe says of samples of people that it was not fitted on; high says "member".

    Attributes:
        members: (M,) scores of the forget set.
        unseen: (U,) scores of the unseen people.
        member_fold: (M,) the fold that scored each; scores of different folds are not on one scale.
        unseen_fold: (U,) likewise.
    """

    members: Losses
    unseen: Losses
    member_fold: NDArray[np.int64]
    unseen_fold: NDArray[np.int64]

    @property
    def auc(self) -> float:
        """Mean over the folds of the chance that a member's score is above an unseen one's; 0.5 is chance."""
        return float(self.aucs(np.ones((1, self.members.size)), np.ones((1, self.unseen.size)))[0])

    def aucs(self, of_members: Weights, of_unseen: Weights) -> NDArray[np.float64]:
        """Return the AUC under each of (B, M) and (B, U) weights, (B,).

        A fold in which one of the kinds has nobody left does not count; without any other it is chance.
        """
        folds = []
        for fold in np.unique(self.member_fold):
            mine, theirs = self.member_fold == fold, self.unseen_fold == fold
            weights = of_members[:, mine], of_unseen[:, theirs]
            with np.errstate(invalid="ignore"):
                folds.append(weighted_auc(-self.members[mine], -self.unseen[theirs], *weights))
        found = np.ma.masked_invalid(np.stack(folds))
        aucs: NDArray[np.float64] = found.mean(axis=0).filled(CHANCE)
        return aucs


def linear_probe(
    members: NDArray[np.floating],
    unseen: NDArray[np.floating],
    member_subjects: Sequence[str],
    unseen_subjects: Sequence[str],
    *,
    seed: int,
    folds: int = FOLDS,
) -> LinearProbe | None:
    """Fit and score the probe, cross-validated by person, both sets weighted alike; None where people are too few.

    Args:
        members: (M, D) features of the forget set.
        unseen: (U, D) features of the unseen people.
        member_subjects: (M,) whose photo it is.
        unseen_subjects: (U,) likewise.
        seed: of the draw of the folds.
        folds: number of folds; fewer where a set has fewer people.

    Returns:
        The scores; None where a set has fewer than two people.
    """
    generator = np.random.default_rng(seed)
    folds = min(folds, len(set(member_subjects)), len(set(unseen_subjects)))
    if folds < 2:
        return None
    fold = np.concatenate([_fold_of(people, folds, generator) for people in (member_subjects, unseen_subjects)])
    features = np.concatenate([members, unseen]).astype(np.float64)
    is_member = np.repeat([1, 0], [len(members), len(unseen)])
    scores = np.empty(len(fold))
    for held_out in range(folds):
        rows = fold == held_out
        scores[rows] = _fit_and_score(features[~rows], is_member[~rows], features[rows])
    size = len(members)
    return LinearProbe(scores[:size], scores[size:], fold[:size], fold[size:])


def _fold_of(subjects: Sequence[str], folds: int, generator: np.random.Generator) -> NDArray[np.int64]:
    # Each set is dealt by itself, so that every fold has people of both.
    people, person = np.unique(np.asarray(subjects, dtype=str), return_inverse=True)
    fold: NDArray[np.int64] = generator.permutation(len(people))[person] % folds
    return fold


def _fit_and_score(features: Losses, is_member: NDArray[np.int64], asked: Losses) -> Losses:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    regression = LogisticRegression(C=_SHRINKAGE, class_weight="balanced", max_iter=_STEPS)
    probe = make_pipeline(StandardScaler(), regression)
    scores: Losses = probe.fit(features, is_member).decision_function(asked)
    return scores
