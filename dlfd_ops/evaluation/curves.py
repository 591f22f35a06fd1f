"""The curves behind the figures: small enough to version, and without anything that points at a sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlfd_ops.evaluation.membership import Losses, Roc

MAX_ROC_POINTS = 400
"""Largest number of points kept of a ROC."""

_DIGITS = 6


@dataclass(frozen=True, eq=False)
class Curves:
    """What is drawn of one model.

    Attributes:
        losses: for every set drawn, its losses in nats, ascending: a loss's place tells nothing about whose it is.
        fpr: (K,) false-positive rates of the membership attack, from 0 to 1.
        tpr: (K,) true-positive rates, from 0 to 1.
    """

    losses: dict[str, Losses]
    fpr: Losses
    tpr: Losses

    def to_json(self) -> dict[str, Any]:
        """Return the curves as JSON values, rounded to six significant digits."""
        return {
            "losses": {name: rounded_list(values) for name, values in self.losses.items()},
            "fpr": rounded_list(self.fpr),
            "tpr": rounded_list(self.tpr),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Curves:
        """Read what :meth:`to_json` returned.

        Raises:
            KeyError: a curve is missing.
            TypeError: a curve is no list of numbers.
            ValueError: a value is no finite number, or the ROC's two halves differ in length.
        """
        curves = cls(
            {str(name): _finite(values) for name, values in value["losses"].items()},
            _finite(value["fpr"]),
            _finite(value["tpr"]),
        )
        if curves.fpr.shape != curves.tpr.shape:
            raise ValueError("fpr and tpr must be of one length")
        return curves


def curves_of(losses: Mapping[str, Losses], roc: Roc) -> Curves:
    """Sort the losses and thin the ROC to what is drawn.

    Args:
        losses: for every set to draw, (N,) losses in any order; may be empty.
        roc: the membership attack's.
    """
    kept = _kept_vertices(len(roc.fpr))
    return Curves(
        {name: np.array(rounded_list(np.sort(values))) for name, values in losses.items()},
        np.array(rounded_list(roc.fpr[kept])),
        np.array(rounded_list(roc.tpr[kept])),
    )


def _kept_vertices(count: int) -> np.ndarray:
    # Half of them evenly, half crowded towards the start: the low false-positive rates are drawn on a log scale.
    even = np.linspace(0, count - 1, MAX_ROC_POINTS // 2)
    crowded = np.geomspace(1, count, MAX_ROC_POINTS // 2) - 1
    return np.unique(np.concatenate([even, crowded]).round().astype(np.int64))


def rounded_list(values: Losses) -> list[float]:
    """Return (N,) values with the six significant digits that files keep."""
    return [float(f"{value:.{_DIGITS}g}") for value in values]


def _finite(values: list[float]) -> Losses:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError("a curve must be a list of finite numbers")
    return array
