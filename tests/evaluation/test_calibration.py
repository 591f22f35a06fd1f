"""Expected calibration error: predictors whose calibration is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.calibration import expected_calibration_error

DECISIONS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50)


def _split(decisions: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    confidence, hits = zip(*decisions, strict=True)
    return np.array(confidence), np.array(hits)


@pytest.mark.parametrize("bins", [2, 10, 15])
def test_perfectly_calibrated_predictor_has_no_error(bins: int) -> None:
    """Right in 60% of the cases at confidence 0.6, in 90% at 0.9."""
    confidence = np.repeat([0.6, 0.9], 100)
    hits = np.concatenate([np.arange(100) < 60, np.arange(100) < 90])
    assert expected_calibration_error(confidence, hits, bins=bins) == pytest.approx(0)


def test_constantly_overconfident_predictor() -> None:
    """Always sure and right in 30% of the cases: the error is 0.7."""
    assert expected_calibration_error(np.ones(100), np.arange(100) < 30, bins=15) == pytest.approx(0.7)


def test_errors_of_opposite_sign_in_two_bins_do_not_cancel() -> None:
    """Underconfident in one bin and overconfident in another: the error adds up, weighted by the shares."""
    confidence = np.array([0.2, 0.2, 0.2, 0.8])
    hits = np.array([True, True, True, False])
    assert expected_calibration_error(confidence, hits, bins=2) == pytest.approx(0.75 * 0.8 + 0.25 * 0.8)


def test_bins_are_closed_on_the_right() -> None:
    """Confidence 0.5 of two bins falls into the lower one: with 0.4 it cancels there, with 0.6 it could not."""
    hits = np.array([True, False])
    assert expected_calibration_error(np.array([0.5, 0.5]), hits, bins=2) == pytest.approx(0)
    assert expected_calibration_error(np.array([0.5, 0.6]), hits, bins=2) == pytest.approx((0.5 + 0.6) / 2)


def test_label_decisions_count_alike() -> None:
    """A matrix of label decisions is read as one long list."""
    confidence = np.array([[0.9, 0.6], [0.7, 0.8]])
    hits = np.array([[True, False], [True, True]])
    flat = expected_calibration_error(confidence.ravel(), hits.ravel(), bins=5)
    assert expected_calibration_error(confidence, hits, bins=5) == flat


@given(DECISIONS, st.integers(2, 30))
def test_error_is_a_share_and_ignores_the_order(decisions: list[tuple[float, bool]], bins: int) -> None:
    """Between 0 and 1, whatever the order."""
    error = expected_calibration_error(*_split(decisions), bins=bins)
    assert 0 <= error <= 1
    assert expected_calibration_error(*_split(decisions[::-1]), bins=bins) == pytest.approx(error)


def test_no_decisions_have_no_error() -> None:
    """An empty set is refused."""
    with pytest.raises(BadInput, match="at least one image"):
        expected_calibration_error(np.array([]), np.array([], dtype=bool), bins=10)
