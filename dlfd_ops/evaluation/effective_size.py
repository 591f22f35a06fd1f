"""How many independent photos a set is worth, as photos of one person are alike.

A person who is easy for a model is easy in most of her photos: ten photos of one person say less about an attack than
one photo each of ten. What an attack's AUC is sure to is therefore not decided by the number of photos.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dlfd_ops.evaluation.membership import Losses, auc_standard_error

FEWEST_PEOPLE = 10
"""People with several photos from whom it is read how alike a person's photos are; of fewer it would be a guess."""


def intraclass_correlation(values: NDArray[np.floating], subjects: Sequence[str]) -> float | None:
    """Return how alike the values of one person are, 0 (as those of strangers) to 1 (all the same).

    ICC(1), the one-way random-effects estimate for groups of unequal size (Donner & Koval 1980, Biometrics 36:19-25);
    below zero it is taken as zero.

    Args:
        values: (N,) one value a photo.
        subjects: (N,) whose photo it is.

    Returns:
        ``None`` where the values can't tell: fewer than :data:`FEWEST_PEOPLE` have two photos, or all values are one.
    """
    person = _places(subjects)
    photos = np.bincount(person)
    people, total = len(photos), len(person)
    if np.count_nonzero(photos > 1) < FEWEST_PEOPLE:
        return None
    means = np.bincount(person, weights=values) / photos
    between = float(photos @ (means - np.mean(values)) ** 2) / (people - 1)
    within = float(np.sum((values - means[person]) ** 2)) / (total - people)
    typical = (total - photos @ photos / total) / (people - 1)  # photos a person, as the estimate weighs them
    spread = between + (typical - 1) * within
    return max(0.0, float((between - within) / spread)) if spread > 0 else None


def effective_size(subjects: Sequence[str], correlation: float | None) -> float:
    """Return the number of independent photos that say as much: N over the design effect (Kish 1965, Survey Sampling).

    Between the number of people, or fewer where one has most of the photos, and N; N where everybody has one.

    Args:
        subjects: (N,) whose photo it is.
        correlation: of the values of one person, 0 to 1; ``None`` is not known, and taken as 1.
    """
    if not subjects:
        return 0.0
    photos = np.bincount(_places(subjects))
    beside = float(photos @ photos) / len(subjects) - 1  # other photos of the same person, for a photo in the mean
    return len(subjects) / (1 + (1.0 if correlation is None else correlation) * beside)


def loss_likeness(losses: Losses, subjects: Sequence[str]) -> float | None:
    """Return the intra-class correlation of the losses' ranks, which are what an AUC reads."""
    from scipy.stats import rankdata

    return intraclass_correlation(rankdata(losses), subjects)


def auc_error_by_people(auc: float, members: Sequence[str], unseen: Sequence[str], likeness: float | None) -> float:
    """Return the standard error of an attack's AUC where several photos show one person.

    The formula for independent photos (:func:`~dlfd_ops.evaluation.membership.auc_standard_error`) with the effective
    sizes of both sets. How alike photos of one person are is estimated on the unseen people, who are many: the few
    to forget could not tell, and one alone not at all. Forgotten people are as strangers, and scatter as they do.

    Args:
        auc: the AUC, 0 to 1.
        members: (M,) whose photo each member loss is of.
        unseen: (U,) likewise of the unseen ones, U at least 1.
        likeness: of the unseen losses, as :func:`loss_likeness` returns it.
    """
    return auc_standard_error(auc, effective_size(members, likeness), effective_size(unseen, likeness))


def _places(subjects: Sequence[str]) -> NDArray[np.int64]:
    places: NDArray[np.int64] = np.unique(np.asarray(subjects, dtype=str), return_inverse=True)[1]
    return places
