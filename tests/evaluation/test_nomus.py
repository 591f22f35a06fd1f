"""Forgetting score and NoMUS: bounds, directions, and the paper's own rows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlfd_ops.evaluation.nomus import forgetting_score, nomus

SHARE = st.floats(0, 1)


@pytest.mark.parametrize(
    ("accuracy", "attack", "published"), [(0.633, 0.692, 0.624), (0.608, 0.555, 0.749), (0.412, 0.475, 0.681)]
)
def test_published_rows(accuracy: float, attack: float, published: float) -> None:
    """Original, retrained and NegGrad on age groups, as the paper's authors report them."""
    assert nomus(accuracy, forgetting_score(attack)) == pytest.approx(published, abs=1e-3)


@given(SHARE, SHARE)
def test_both_keep_their_bounds(accuracy: float, attack: float) -> None:
    """The forgetting score lies in 0 to 0.5, NoMUS in 0 to 1."""
    assert 0 <= forgetting_score(attack) <= 0.5
    assert 0 <= nomus(accuracy, forgetting_score(attack)) <= 1


@given(SHARE)
def test_the_forgetting_score_does_not_see_the_direction(attack: float) -> None:
    """An attack that is always wrong is as good as one that is always right."""
    assert forgetting_score(attack) == pytest.approx(forgetting_score(1 - attack))


@given(SHARE, SHARE, st.floats(0, 0.5), st.floats(0, 0.5))
def test_nomus_rises_with_accuracy_and_falls_with_the_score(
    first: float, second: float, one: float, other: float
) -> None:
    """More accuracy is never worse, more membership leak never better."""
    assert nomus(max(first, second), min(one, other)) >= nomus(min(first, second), max(one, other))


def test_best_and_worst() -> None:
    """Perfect model and perfect forgetting is 1, the opposite 0."""
    assert nomus(1.0, 0.0) == 1
    assert nomus(0.0, 0.5) == 0
