"""U-LiRA's statistic: the likelihood ratio of known normals, and an attack that finds what is there to find."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.membership import Losses, roc
from dlfd_ops.evaluation.ulira import logit_confidence, ulira_scores


def _shadows(count: int, samples: int, *, shift: float, seed: int) -> tuple[Losses, NDArray[np.bool_], Losses, Losses]:
    """Shadows that each forgot a random half, the others' confidences, and a target of either kind for every sample."""
    generator = np.random.default_rng(seed)
    level = generator.normal(0, 3, samples)
    forgot = np.arange(count)[:, np.newaxis] % 2 == generator.integers(2, size=samples)
    shadows = level + shift * forgot + generator.normal(0, 1, (count, samples))
    forgetting, never = (level + rise + generator.normal(0, 1, samples) for rise in (shift, 0.0))
    return shadows, forgot, forgetting, never


@pytest.mark.parametrize(("count", "shift"), [(16, 0.0), (16, 1.5), (256, 1.5)])
def test_the_attack_is_as_good_as_the_gap_allows(count: int, shift: float) -> None:
    """The best test of unit normals ``shift`` apart has an AUC of Phi(shift / sqrt 2); few shadows lose some."""
    shadows, forgot, forgetting, never = _shadows(count, 3000, shift=shift, seed=1)
    auc = roc(-ulira_scores(forgetting, shadows, forgot), -ulira_scores(never, shadows, forgot)).auc
    best = norm.cdf(shift / math.sqrt(2))
    assert best - 0.05 < auc < best + 0.015


def test_the_score_is_the_log_likelihood_ratio() -> None:
    """Many shadows of N(2, 1) that forgot and of N(0, 2) that never saw: SciPy's densities."""
    generator = np.random.default_rng(0)
    count = 100_000
    shadows = np.concatenate([generator.normal(2, 1, (count, 1)), generator.normal(0, 2, (count, 1))])
    forgot = np.repeat([True, False], count)[:, np.newaxis]
    for confidence in (-3.0, 0.0, 2.0):
        expected = norm.logpdf(confidence, 2, 1) - norm.logpdf(confidence, 0, 2)
        assert ulira_scores(np.array([confidence]), shadows, forgot) == pytest.approx([expected], abs=0.05)


def test_exchanging_the_kinds_turns_the_score_over() -> None:
    """Forgot and never saw are treated alike."""
    shadows, forgot, target, _ = _shadows(8, 50, shift=1.0, seed=3)
    assert ulira_scores(target, shadows, ~forgot) == pytest.approx(-ulira_scores(target, shadows, forgot))


def test_shadows_that_all_agree_are_still_a_number() -> None:
    """Saturated confidences have no spread; the score stays finite."""
    shadows = np.repeat([[16.0], [15.0]], 2, axis=0)
    forgot = np.array([[True], [True], [False], [False]])
    assert np.isfinite(ulira_scores(np.array([16.0]), shadows, forgot)).all()


def test_confidence_is_the_logit_of_the_probability() -> None:
    """Known values; a loss of exactly zero is bounded."""
    probability = np.array([0.01, 0.5, 0.999])
    assert logit_confidence(-np.log(probability)) == pytest.approx(np.log(probability / (1 - probability)))
    assert 34 < logit_confidence(np.array([0.0]))[0] < 35
    assert logit_confidence(np.array([800.0]))[0] == -800


def test_too_few_or_other_shadows_are_refused() -> None:
    """Two of each kind for every sample; one confidence a sample; finite."""
    shadows, forgot, target, _ = _shadows(8, 5, shift=1.0, seed=0)
    with pytest.raises(BadInput, match="two shadow models"):
        ulira_scores(target, shadows, np.ones_like(forgot))
    with pytest.raises(BadInput, match="one confidence a sample"):
        ulira_scores(target[:4], shadows, forgot)
    with pytest.raises(BadInput, match="finite"):
        ulira_scores(target, np.where(forgot, np.nan, shadows), forgot)
