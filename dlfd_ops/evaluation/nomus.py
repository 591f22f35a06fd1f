"""The paper's two numbers: forgetting score and NoMUS (Choi & Na, AAAI 2025, arXiv 2409.14747)."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", float, NDArray[np.float64])


def forgetting_score(attack_accuracy: float) -> float:
    """Return the distance of the membership attack's accuracy from chance: 0 (best) to 0.5."""
    return abs(attack_accuracy - 0.5)


def nomus(test_accuracy: Number, score: Number) -> Number:
    """Return the normalised machine unlearning score, 0 to 1; 1 is best.

    ``(test accuracy + 1 - 2 * forgetting score) / 2``: utility and forgetting in equal parts. It rewards forgetting
    more than a retrained model does, so read it beside the retrain gap and the overshoot flag.

    Args:
        test_accuracy: 0 to 1, or an array of them.
        score: forgetting score, 0 to 0.5, of the same shape.
    """
    return (test_accuracy + 1 - 2 * score) / 2
