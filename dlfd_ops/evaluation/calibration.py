"""Whether a model's confidence means what it says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dlfd_ops.evaluation.utility import require_some


def expected_calibration_error(confidence: NDArray[np.floating], hits: NDArray[np.bool_], *, bins: int) -> float:
    """Return the expected calibration error, 0 to 1; 0 is best.

    The decisions fall into equal-width bins of confidence, closed on the right; the error is the mean distance between
    accuracy and confidence in a bin, weighted by the bin's share (Guo et al. 2017, arXiv 1706.04599, equation 3).

    Args:
        confidence: probability of every decision taken, any shape; for several labels all label decisions.
        hits: whether a decision is right, same shape.
        bins: number of bins over [0, 1].

    Raises:
        BadInput: there are no decisions.
    """
    probability = confidence.astype(np.float64).ravel()
    right = hits.astype(np.float64).ravel()
    require_some(probability.size, "a calibration error")
    bin_of = np.clip(np.ceil(probability * bins).astype(np.int64) - 1, 0, bins - 1)
    gap = np.bincount(bin_of, weights=right, minlength=bins) - np.bincount(bin_of, weights=probability, minlength=bins)
    return float(np.abs(gap).sum() / probability.size)
