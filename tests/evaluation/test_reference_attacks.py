"""Attacks with reference models: hand-made answers, laws, and a world whose AUC has a closed form."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import norm

from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.membership import Losses, roc
from dlfd_ops.evaluation.reference_attacks import calibrated_scores, rmia_scores

SIZE = 4000


def _world(*, gap: float, seed: int = 0, references: int = 1) -> dict[str, Losses]:
    """Photos of very different difficulty; the target knows the members by ``gap`` nats, under noise of one nat."""
    generator = np.random.default_rng(seed)
    difficulty = generator.normal(20, 4, 3 * SIZE)
    target = difficulty + generator.normal(0, 1, 3 * SIZE)
    target[:SIZE] -= gap
    # References without noise: the score is then the target's own noise, and its AUC is known.
    return {"target": target, "references": np.tile(difficulty, (references, 1))}


def _split(values: Losses) -> tuple[Losses, Losses, Losses]:
    return values[..., :SIZE], values[..., SIZE : 2 * SIZE], values[..., 2 * SIZE :]


@pytest.mark.parametrize("gap", [0.0, 0.5, 2.0])
def test_calibration_finds_what_difficulty_hides(gap: float) -> None:
    """Two unit normals ``gap`` apart have an AUC of Phi(gap / sqrt 2); by the loss alone sigma is 4 times larger."""
    world = _world(gap=gap)
    member, unseen, _ = _split(calibrated_scores(world["target"], world["references"]))
    assert roc(-member, -unseen).auc == pytest.approx(norm.cdf(gap / math.sqrt(2)), abs=0.015)
    plain = roc(*_split(world["target"])[:2]).auc
    assert plain == pytest.approx(norm.cdf(gap / math.sqrt(2 * 17)), abs=0.015)


@pytest.mark.parametrize("gap", [0.0, 0.5, 2.0])
def test_rmia_finds_what_difficulty_hides(gap: float) -> None:
    """With a = 1 the ratio is the calibrated loss, of which the population keeps the order: the same closed form."""
    world = _world(gap=gap, references=3)
    targets, references = _split(world["target"]), _split(world["references"])
    member, unseen = (
        rmia_scores(targets[part], references[part], targets[2], references[2], gamma=1, offline_a=1) for part in (0, 1)
    )
    assert roc(-member, -unseen).auc == pytest.approx(norm.cdf(gap / math.sqrt(2)), abs=0.015)


def test_rmia_by_hand() -> None:
    """At p = 0.9 where references give 0.2 and 0.4: Pr(x) = 0.545, ratio 1.651; z have 0.741, 1.311, 0.208."""
    score = rmia_scores(
        -np.log([0.9]),
        -np.log([[0.2], [0.4]]),
        -np.log([0.5, 0.8, 0.1]),
        -np.log([[0.4, 0.5, 0.1], [0.6, 0.3, 0.3]]),
        gamma=1.5,
        offline_a=0.3,
    )
    assert score == pytest.approx([2 / 3])


def test_a_sample_that_nobody_saw_outdoes_half_of_the_population() -> None:
    """Unseen people and the population are exchangeable: their scores are uniform, also where models barely learned."""
    generator = np.random.default_rng(0)
    for level, spread in ((1.6, 0.05), (4.0, 2.0)):
        targets, known = (generator.normal(level, spread, 4000).clip(0.01) for _ in range(2))
        scores = rmia_scores(targets[:2000], known[np.newaxis, :2000], targets[2000:], known[np.newaxis, 2000:])
        assert np.quantile(scores, [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.04)


def test_more_demanding_means_lower_scores() -> None:
    """A larger gamma never raises a score, and all lie between nobody and everybody outdone."""
    world = _world(gap=1.0)
    targets, references = _split(world["target"]), _split(world["references"])
    scores = [
        rmia_scores(targets[0], references[0], targets[2], references[2], gamma=gamma) for gamma in (0.5, 1, 2, 8)
    ]
    assert all((lower <= higher).all() for higher, lower in itertools.pairwise(scores))
    assert min(values.min() for values in scores) >= 0
    assert max(values.max() for values in scores) <= 1


def test_a_target_that_is_its_own_reference_gives_nothing_away() -> None:
    """That is why it must not be: every calibrated score is zero, whatever it remembers."""
    losses = _world(gap=2.0)["target"]
    assert (calibrated_scores(losses, losses[np.newaxis]) == 0).all()


def test_losses_of_a_ruined_model_are_still_read() -> None:
    """Probabilities that underflow compare by their logarithms."""
    target = np.array([1.0, 2000.0])
    references = np.array([[3000.0, 1000.0]])
    scores = rmia_scores(target, references, np.array([1500.0]), np.array([[1500.0]]), gamma=1, offline_a=1)
    assert scores.tolist() == [1, 0]


def test_references_on_other_samples_are_refused() -> None:
    """One loss a sample and at least one reference, all finite; a population that is there."""
    good = np.ones(3)
    for references in (np.ones(3), np.ones((2, 4)), np.ones((0, 3))):
        with pytest.raises(BadInput, match="one loss a sample"):
            calibrated_scores(good, references)
    with pytest.raises(BadInput, match="finite"):
        calibrated_scores(good, np.full((1, 3), np.nan))
    with pytest.raises(BadInput, match="needs a population"):
        rmia_scores(good, np.ones((1, 3)), np.ones(0), np.ones((1, 0)))
