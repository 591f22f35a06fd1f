"""The attacker who holds all photos of a person, and asks about the person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dlfd_ops.errors import BadInput


class SubjectMeans(NamedTuple):
    """One value a person.

    Attributes:
        means: (P,) mean over the person's photos.
        subjects: (P,) the people, sorted.
    """

    means: NDArray[np.float64]
    subjects: tuple[str, ...]


def subject_means(values: NDArray[np.floating], subjects: Sequence[str]) -> SubjectMeans:
    """Return the mean of each person's values: losses or an attack's scores.

    With k photos the noise of one photo is averaged out, so that a small difference in every photo shows: the AUC over
    people is the one that a person who asks to be forgotten has in mind.

    Args:
        values: (N,) one value a photo.
        subjects: (N,) whose photo it is.

    Raises:
        BadInput: there is not one person a value.
    """
    if len(values) != len(subjects):
        raise BadInput(
            "every photo must have its person",
            received=f"{len(subjects)} people of {len(values)} photos",
            remedy="give the subjects in the order of the photos",
        )
    people, person = np.unique(np.asarray(subjects, dtype=str), return_inverse=True)
    means = np.bincount(person, weights=values, minlength=len(people)) / np.bincount(person, minlength=len(people))
    return SubjectMeans(means, tuple(people.tolist()))
