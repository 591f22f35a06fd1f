"""Curves: sorted, thinned where allowed, the same after a round trip."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from dlfd_ops.evaluation.curves import MAX_ROC_POINTS, Curves, curves_of
from dlfd_ops.evaluation.membership import roc


def _curves(count: int = 1500) -> Curves:
    generator = np.random.default_rng(0)
    losses = {"forget": generator.exponential(1, count), "test": generator.exponential(2, count)}
    return curves_of(losses, roc(losses["forget"], losses["test"]))


def test_losses_are_all_there_in_ascending_order() -> None:
    """The place of a loss is its rank, so it says nothing about whose it is."""
    losses = np.array([3.0, 1.0, 2.0])
    drawn = curves_of({"forget": losses}, roc(losses, losses))
    assert drawn.losses["forget"].tolist() == [1, 2, 3]


def test_a_long_roc_is_thinned_and_keeps_ends_and_area() -> None:
    """What is drawn has few points, the same ends and nearly the same area as the curve it stands for."""
    generator = np.random.default_rng(0)
    forget, test = generator.exponential(1, 1500), generator.exponential(2, 1500)
    whole, drawn = roc(forget, test), curves_of({}, roc(forget, test))
    assert len(drawn.fpr) <= MAX_ROC_POINTS < len(whole.fpr)
    assert (drawn.fpr[0], drawn.tpr[0], drawn.fpr[-1], drawn.tpr[-1]) == (0, 0, 1, 1)
    assert float(np.trapezoid(drawn.tpr, drawn.fpr)) == pytest.approx(whole.auc, abs=2e-3)


def test_a_short_roc_is_kept_whole() -> None:
    """Nothing is dropped that fits."""
    losses = np.arange(20.0)
    whole = roc(losses, losses + 0.5)
    assert np.allclose(curves_of({}, whole).fpr, whole.fpr)


def test_round_trip_through_json() -> None:
    """Reading what was written gives the same curves."""
    drawn = _curves(50)
    again = Curves.from_json(json.loads(json.dumps(drawn.to_json())))
    assert {name: values.tolist() for name, values in again.losses.items()} == {
        name: values.tolist() for name, values in drawn.losses.items()
    }
    assert again.fpr.tolist() == drawn.fpr.tolist()
    assert again.tpr.tolist() == drawn.tpr.tolist()


@pytest.mark.parametrize(
    "damage",
    [{"fpr": [0.0]}, {"tpr": [0.0, float("nan"), 1.0]}, {"losses": {"test": ["much"]}}, {"losses": {"test": [[1.0]]}}],
)
def test_damaged_curves_are_refused(damage: dict[str, Any]) -> None:
    """Lengths that differ, NaN, words and nested lists are no curves."""
    good = {"losses": {"test": [1.0, 2.0]}, "fpr": [0.0, 0.5, 1.0], "tpr": [0.0, 0.7, 1.0]}
    assert Curves.from_json(good).losses["test"].tolist() == [1, 2]
    with pytest.raises(ValueError, match=r"number|length|float"):
        Curves.from_json(good | damage)
