"""Schedules."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dlfd_ops.unlearning.dlfd.schedule import DynamicForgetting, Linear

WEIGHTS = st.floats(0, 100)


@given(start=WEIGHTS, end=WEIGHTS, progress=st.floats(-1, 2))
def test_linear_weight_stays_between_its_ends(start: float, end: float, progress: float) -> None:
    """Also outside [0, 1] the weight is between start and end."""
    weight = Linear(start, end)(progress)
    assert min(start, end) - 1e-9 <= weight <= max(start, end) + 1e-9


def test_linear_weight_meets_its_ends_and_its_middle() -> None:
    """Start at 0, end at 1, the mean half way."""
    weight = Linear(1.0, 3.0)
    assert [weight(0), weight(0.5), weight(1)] == [1.0, 2.0, 3.0]


def test_dynamic_forgetting_pushes_above_the_threshold_only() -> None:
    """At the threshold there is nothing left to push, and below zero it would lead further away."""
    schedule = DynamicForgetting(threshold=0.1, every=5)
    assert schedule.push(0.11)
    assert not schedule.push(0.1)
    assert not schedule.push(-0.3)
    assert DynamicForgetting(threshold=-1, every=5).push(-0.5)
    assert [step for step in range(11) if schedule.probe_due(step)] == [0, 5, 10]
