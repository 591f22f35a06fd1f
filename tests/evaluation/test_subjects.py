"""The attack on a person instead of a photo."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.membership import roc
from dlfd_ops.evaluation.subjects import subject_means


def test_means_are_those_of_each_person() -> None:
    """By hand, in any order of the photos."""
    found = subject_means(np.array([1.0, 5.0, 3.0, 7.0]), ["b", "a", "b", "c"])
    assert found.subjects == ("a", "b", "c")
    assert found.means.tolist() == [5, 2, 7]


def test_all_photos_of_a_person_show_what_one_does_not() -> None:
    """A gap of 0.3 under unit noise: Phi(0.3 / sqrt 2) = 0.584 by photo, Phi(0.3 * sqrt(16 / 2)) = 0.802 by person."""
    generator = np.random.default_rng(0)
    photos, people = 16, [f"{index // 16:04d}" for index in range(16 * 1500)]
    members, unseen = generator.normal(-0.3, 1, len(people)), generator.normal(0, 1, len(people))
    assert roc(members, unseen).auc == pytest.approx(norm.cdf(0.3 / math.sqrt(2)), abs=0.01)
    by_person = roc(subject_means(members, people).means, subject_means(unseen, people).means).auc
    assert by_person == pytest.approx(norm.cdf(0.3 * math.sqrt(photos / 2)), abs=0.02)


def test_nobody_has_no_mean() -> None:
    """An empty set stays empty; a photo without its person is refused."""
    assert subject_means(np.array([]), []).means.size == 0
    with pytest.raises(BadInput, match="must have its person"):
        subject_means(np.ones(2), ["a"])
