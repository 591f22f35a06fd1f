"""The gap to the retrained model."""

from __future__ import annotations

import pytest

from dlfd_ops.evaluation.retrain_gap import retrain_gap


def test_gap_is_unlearned_minus_retrained() -> None:
    """Positive where the unlearned model's number is the larger one."""
    gap = retrain_gap({"accuracy": 0.5, "loss": 2.0}, {"loss": 2.5, "accuracy": 0.4})
    assert gap == {"accuracy": pytest.approx(0.1), "loss": pytest.approx(-0.5)}
    assert list(gap) == ["accuracy", "loss"]


def test_a_model_has_no_gap_to_itself() -> None:
    """Equal numbers give zeros."""
    metrics = {"accuracy": 0.5, "nomus": 0.7}
    assert set(retrain_gap(metrics, metrics).values()) == {0.0}


def test_only_what_both_have_is_compared() -> None:
    """A number without a counterpart has no gap; it is not taken for 0."""
    assert retrain_gap({"accuracy": 0.5, "ece": 0.1}, {"accuracy": 0.5, "loss": 1.0}) == {"accuracy": 0.0}


def test_ends_of_intervals_have_no_gap() -> None:
    """The difference of two ends bounds nothing."""
    metrics = {"accuracy": 0.5, "accuracy_low": 0.4, "accuracy_high": 0.6}
    assert retrain_gap(metrics, metrics) == {"accuracy": 0.0}
