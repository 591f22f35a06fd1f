"""Intervals over people: SciPy and scikit-learn as oracles, coverage, and how clusters widen them."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import roc_auc_score

from dlfd_ops.evaluation.intervals import Statistics, Weights, bootstrap_intervals, weighted_auc, weighted_mean
from dlfd_ops.evaluation.membership import Losses, roc


def _people(count: int, photos: int = 1) -> list[str]:
    return [f"{index // photos:04d}" for index in range(count)]


def _statistics(members: Losses, unseen: Losses) -> Statistics:
    def statistics(of_members: Weights, of_unseen: Weights) -> Mapping[str, Losses]:
        return {
            "auc": weighted_auc(members, unseen, of_members, of_unseen),
            "mean": weighted_mean(unseen, of_unseen),
        }

    return statistics


def _losses(count: int, photos: int, *, shift: float, seed: int) -> Losses:
    """Losses that differ between people as much as between photos of one."""
    generator = np.random.default_rng(seed)
    return np.repeat(generator.normal(shift, 1, count // photos), photos) + generator.normal(0, 1, count)


def test_weights_of_one_are_the_sample_itself() -> None:
    """The AUC and the mean, ties included."""
    generator = np.random.default_rng(0)
    members, unseen = (generator.integers(0, 6, size).astype(float) for size in (30, 50))
    ones = np.ones((1, 30)), np.ones((1, 50))
    assert weighted_auc(members, unseen, *ones) == pytest.approx([roc(members, unseen).auc])
    assert weighted_mean(unseen, ones[1]) == pytest.approx([unseen.mean()])


def test_weights_are_scikit_learns_sample_weights() -> None:
    """Whole numbers or not."""
    generator = np.random.default_rng(1)
    members, unseen = (generator.integers(0, 6, size).astype(float) for size in (30, 50))
    weights = generator.uniform(0, 3, 30), generator.uniform(0, 3, 50)
    expected = roc_auc_score(
        np.repeat([1, 0], [30, 50]), -np.concatenate([members, unseen]), sample_weight=np.concatenate(weights)
    )
    assert weighted_auc(members, unseen, *(each[np.newaxis] for each in weights)) == pytest.approx([expected])


def test_one_photo_a_person_is_scipys_bootstrap() -> None:
    """Where people are rows, SciPy's percentile intervals are the same but for the draw."""
    unseen = _losses(120, 1, shift=0, seed=0)
    found = bootstrap_intervals(_statistics(unseen, unseen), _people(120), _people(120), seed=0, resamples=4000)
    theirs = bootstrap((unseen,), np.mean, n_resamples=4000, method="percentile", rng=0).confidence_interval
    assert found["mean"] == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_many_photos_of_few_people_say_less() -> None:
    """The same 300 photos of 30 people instead of 300: wider, as they should be."""
    members, unseen = _losses(300, 10, shift=-0.5, seed=0), _losses(300, 10, shift=0, seed=1)
    clustered, independent = (
        bootstrap_intervals(_statistics(members, unseen), people, people, seed=0)["auc"]
        for people in (_people(300, 10), _people(300))
    )
    assert np.diff(clustered) > 1.8 * np.diff(independent)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Over 200 worlds of 40 people with 5 photos on each side, one distribution: 0.5 lies inside in about 95%."""
    inside = 0
    for world in range(200):
        members, unseen = (_losses(200, 5, shift=0, seed=2 * world + side) for side in (0, 1))
        people = _people(200, 5)
        low, high = bootstrap_intervals(_statistics(members, unseen), people, people, seed=world, resamples=300)["auc"]
        inside += low <= 0.5 <= high
    assert 178 <= inside <= 198


def test_the_seed_decides_and_portions_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same seed gives the same interval; a level of 0.5 lies inside one of 0.95."""
    members, unseen = _losses(60, 3, shift=-1, seed=0), _losses(90, 3, shift=0, seed=1)
    arguments = _statistics(members, unseen), _people(60, 3), _people(90, 3)
    first, again, other = (bootstrap_intervals(*arguments, seed=seed) for seed in (5, 5, 6))
    assert first == again != other
    narrow = bootstrap_intervals(*arguments, seed=5, level=0.5)
    assert first["auc"][0] < narrow["auc"][0] < narrow["auc"][1] < first["auc"][1]


@pytest.mark.parametrize(("members", "unseen"), [(0, 5), (1, 5), (5, 1)])
def test_one_person_has_no_interval(members: int, unseen: int) -> None:
    """However many photos: nothing varies between people."""
    photos = np.ones(4 * members), np.ones(4 * unseen)
    assert bootstrap_intervals(_statistics(*photos), _people(4 * members, 4), _people(4 * unseen, 4), seed=0) == {}


def test_a_perfect_attack_has_a_point_for_an_interval() -> None:
    """Nothing to resample into anything else."""
    found = bootstrap_intervals(_statistics(np.zeros(20), np.ones(20)), _people(20), _people(20), seed=0)
    assert found["auc"] == (1, 1)


def test_a_thousand_resamples_take_no_time() -> None:
    """2,000 photos: well below the two seconds that the benchmark allows; a loop over resamples takes many."""
    members, unseen = _losses(1000, 2, shift=0, seed=0), _losses(1000, 2, shift=0, seed=1)
    started = time.process_time()
    bootstrap_intervals(_statistics(members, unseen), _people(1000, 2), _people(1000, 2), seed=0)
    assert time.process_time() - started < 2
