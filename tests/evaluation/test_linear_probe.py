"""The linear probe: chance where nothing is to be found, the closed form where something is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from dlfd_ops.evaluation.intervals import bootstrap_intervals
from dlfd_ops.evaluation.linear_probe import linear_probe

WIDTH = 16


def _people(count: int, photos: int, side: str) -> list[str]:
    return [f"{side}{index // photos:04d}" for index in range(count)]


def _features(count: int, photos: int, *, shift: float, seed: int) -> NDArray[np.float64]:
    """Photos close around a centre of their person's own; membership moves the first feature."""
    generator = np.random.default_rng(seed)
    centres = np.repeat(generator.normal(0, 1, (count // photos, WIDTH)), photos, axis=0)
    features = centres + generator.normal(0, 0.1, (count, WIDTH))
    features[:, 0] += shift
    return features


def test_what_the_features_know_is_found() -> None:
    """Two normals two standard deviations apart: an AUC of Phi(sqrt 2) = 0.921, and an interval that holds it."""
    probe = linear_probe(
        _features(600, 2, shift=2, seed=0),
        _features(600, 2, shift=0, seed=1),
        _people(600, 2, "m"),
        _people(600, 2, "u"),
        seed=0,
    )
    assert probe is not None
    assert probe.auc == pytest.approx(norm.cdf(math.sqrt(2)), abs=0.03)
    found = bootstrap_intervals(
        lambda members, unseen: {"auc": probe.aucs(members, unseen)},
        _people(600, 2, "m"),
        _people(600, 2, "u"),
        seed=0,
    )
    assert found["auc"][0] < probe.auc < found["auc"][1]


@pytest.mark.parametrize("people", [5, 8, 20])
def test_what_is_found_in_every_draw_has_no_spread(people: int) -> None:
    """Features that tell all apart: a fold of which a draw leaves nobody says nothing, and not "chance"."""
    sides = _people(2 * people, 2, "m"), _people(2 * people, 2, "u")
    probe = linear_probe(np.ones((2 * people, WIDTH)), np.zeros((2 * people, WIDTH)), *sides, seed=0)
    assert probe is not None
    found = bootstrap_intervals(lambda *weights: {"auc": probe.aucs(*weights)}, *sides, seed=0)
    assert (probe.auc, found["auc"]) == (1.0, (1.0, 1.0))


def test_recognising_faces_is_not_membership() -> None:
    """Forty photos of each of ten people: photos shuffled over the folds would be told apart perfectly."""
    aucs = []
    for seed in range(6):
        probe = linear_probe(
            _features(400, 40, shift=0, seed=2 * seed),
            _features(400, 40, shift=0, seed=2 * seed + 1),
            _people(400, 40, "m"),
            _people(400, 40, "u"),
            seed=seed,
        )
        assert probe is not None
        aucs.append(probe.auc)
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.12)


def test_sets_of_other_sizes_are_weighted_alike() -> None:
    """Nine unseen photos for each member: chance stays one half."""
    probe = linear_probe(
        _features(100, 1, shift=0, seed=0),
        _features(900, 1, shift=0, seed=1),
        _people(100, 1, "m"),
        _people(900, 1, "u"),
        seed=0,
    )
    assert probe is not None
    assert probe.auc == pytest.approx(0.5, abs=0.09)


def test_more_features_than_photos_are_no_noise_fitted() -> None:
    """Thirty photos with 500 features that say nothing: near chance."""
    generator = np.random.default_rng(0)
    people = _people(30, 1, "m"), _people(300, 1, "u")
    probe = linear_probe(generator.normal(size=(30, 500)), generator.normal(size=(300, 500)), *people, seed=0)
    assert probe is not None
    assert probe.auc == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize(("members", "unseen"), [(0, 4), (1, 4), (4, 1)])
def test_one_person_is_too_few_to_probe(members: int, unseen: int) -> None:
    """Whoever is held out leaves nobody to fit on."""
    features = np.zeros((members, 3)), np.zeros((unseen, 3))
    assert linear_probe(*features, _people(members, 1, "m"), _people(unseen, 1, "u"), seed=0) is None


def test_two_people_a_side_are_probed_in_two_folds() -> None:
    """Fewer folds, still one person of each side in every one."""
    features = np.array([[1.0], [1.1], [1.2], [1.3]]), np.array([[0.0], [0.1], [0.2], [0.3]])
    probe = linear_probe(*features, _people(4, 2, "m"), _people(4, 2, "u"), seed=0)
    assert probe is not None
    assert set(probe.member_fold) == set(probe.unseen_fold) == {0, 1}
    assert probe.auc == 1
