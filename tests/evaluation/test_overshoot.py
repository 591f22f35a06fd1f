"""Distance between loss distributions, and the flag of overshooting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.membership import Losses
from dlfd_ops.evaluation.overshoot import compare_losses, ks_distance

TIED = st.lists(st.integers(0, 9).map(float), min_size=1, max_size=30).map(np.array)


def _drawn(mean: float, seed: int, count: int = 300) -> Losses:
    return np.random.default_rng(seed).normal(mean, 1, count)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of SciPy's p-value, which is not compared
@given(TIED, TIED)
def test_distance_is_that_of_scipy_and_symmetric(first: Losses, second: Losses) -> None:
    """Kolmogorov-Smirnov with ties, from either side."""
    assert ks_distance(first, second) == pytest.approx(ks_2samp(first, second).statistic)
    assert ks_distance(first, second) == ks_distance(second, first)


@pytest.mark.parametrize(("shift", "flagged"), [(0.5, True), (0.0, False), (-0.5, False)])
def test_only_losses_above_the_unseen_ones_are_flagged(shift: float, flagged: bool) -> None:
    """Overshooting has a direction: remembered people are no overshoot."""
    found = compare_losses(_drawn(shift, 0), _drawn(0, 1), alpha=0.01)
    assert found.overshoot is flagged
    assert (found.distance > 0.15) is (shift != 0)


def test_the_flag_follows_the_significance_asked_for() -> None:
    """The same losses are flagged at an alpha above their p-value and not below it."""
    forget, unseen = _drawn(0.15, 0), _drawn(0, 1)
    p_above = compare_losses(forget, unseen, alpha=0.05).p_above
    assert not compare_losses(forget, unseen, alpha=p_above / 2).overshoot
    assert compare_losses(forget, unseen, alpha=p_above * 2).overshoot


def test_false_flags_are_as_rare_as_stated() -> None:
    """Of sets drawn from one distribution about alpha are flagged."""
    flags = [compare_losses(_drawn(0, 2 * n, 60), _drawn(0, 2 * n + 1, 60), alpha=0.1).overshoot for n in range(300)]
    assert 0.05 < np.mean(flags) < 0.16


def test_equal_losses_do_not_overshoot() -> None:
    """All tied: no distance, no flag, no warning turned error."""
    found = compare_losses(np.ones(20), np.ones(20), alpha=0.05)
    assert (found.distance, found.overshoot) == (0.0, False)


def test_an_empty_forget_set_differs_from_nothing() -> None:
    """As the documentation states."""
    found = compare_losses(np.array([]), _drawn(0, 0), alpha=0.05)
    assert (found.distance, found.p_above, found.overshoot) == (0.0, 1.0, False)


def test_broken_losses_are_refused() -> None:
    """NaN never becomes a distance."""
    with pytest.raises(BadInput, match="finite"):
        compare_losses(np.array([np.nan]), np.array([1.0]), alpha=0.05)
    with pytest.raises(BadInput, match="unseen"):
        compare_losses(np.array([1.0]), np.array([]), alpha=0.05)
