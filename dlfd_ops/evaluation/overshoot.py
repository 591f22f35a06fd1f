"""How far the forget set's losses lie from unseen people's, and whether they lie above them.

A forget set whose losses stand out, in either direction, tells an attacker who was forgotten. NoMUS sees the size of
that; the direction shows here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlfd_ops.evaluation.membership import Losses, require_losses


@dataclass(frozen=True)
class LossComparison:
    """Forget losses against unseen losses.

    Attributes:
        distance: two-sided Kolmogorov-Smirnov statistic, 0 (same distribution) to 1 (apart).
        p_above: p-value of the one-sided Mann-Whitney test; small when forget losses lie above unseen ones.
        overshoot: whether ``p_above`` is below the significance asked for.
    """

    distance: float
    p_above: float
    overshoot: bool


def compare_losses(forget: Losses, unseen: Losses, *, alpha: float) -> LossComparison:
    """Compare two sets of per-sample losses.

    An empty forget set differs from nothing: distance 0, p-value 1, no overshoot.

    Args:
        forget: (M,) finite losses.
        unseen: (U,) finite losses, U at least 1.
        alpha: significance of the one-sided test, 0 to 0.5.

    Raises:
        BadInput: a loss is not finite, or ``unseen`` is empty.
    """
    require_losses(forget, unseen)
    if forget.size == 0:
        return LossComparison(distance=0.0, p_above=1.0, overshoot=False)

    from scipy.stats import mannwhitneyu

    p_above = float(mannwhitneyu(forget, unseen, alternative="greater").pvalue)
    return LossComparison(ks_distance(forget, unseen), p_above, p_above < alpha)


def ks_distance(first: Losses, second: Losses) -> float:
    """Return the largest vertical distance between the two empirical distribution functions, 0 to 1.

    Args:
        first: (M,) finite values, M at least 1.
        second: (U,) finite values, U at least 1.
    """
    points = np.concatenate([first, second])
    shares = [np.searchsorted(np.sort(values), points, side="right") / values.size for values in (first, second)]
    return float(np.abs(shares[0] - shares[1]).max())
