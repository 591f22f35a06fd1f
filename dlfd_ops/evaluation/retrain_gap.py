"""The honest yardstick: how far the unlearned model is from one that never saw the forget set."""

from __future__ import annotations

from collections.abc import Mapping

from dlfd_ops.evaluation.intervals import is_interval_end


def retrain_gap(unlearned: Mapping[str, float], retrained: Mapping[str, float]) -> dict[str, float]:
    """Return unlearned minus retrained for every metric that both have, in the unlearned model's order; 0 is best.

    The ends of intervals are left out: their difference is no interval of the difference.
    """
    return {
        name: value - retrained[name]
        for name, value in unlearned.items()
        if name in retrained and not is_interval_end(name)
    }
