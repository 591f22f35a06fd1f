"""Confidence intervals that resample people, not photos.

Photos of one person resemble each other, so 500 photos of 20 people say far less than 500 photos of 500: an interval
that takes photos as independent is too narrow. SciPy's bootstrap draws rows; here a person is drawn with all photos,
as weights over the photos, so that a thousand resamples are a few array operations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dlfd_ops.evaluation.membership import Losses

Weights = NDArray[np.float64]
Statistics = Callable[..., Mapping[str, NDArray[np.float64]]]
"""From (B, N) weights of every set, in order, to (B,) values of every statistic."""
Intervals = dict[str, tuple[float, float]]

LOW, HIGH = "_low", "_high"
"""What the ends of a metric's interval are called after its name."""
LEVEL = 0.95
RESAMPLES = 1000
_NUMBERS_AT_ONCE = 1 << 22
"""Weights held in memory at a time: 32 MiB of each set."""


def bootstrap_intervals(
    statistics: Statistics,
    *people: Sequence[str],
    seed: int,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Intervals:
    """Return percentile intervals of all statistics, all from the same resamples of people.

    The percentile method (Efron & Tibshirani 1993, chapter 13) with whole people drawn. One person cannot vary: where a
    set has fewer than two there is no interval, and of fewer than about ten it is too narrow.

    Args:
        statistics: see :data:`Statistics`; weights of one are the sample itself.
        people: of each set that the statistics read, the person of each of its N samples. Sets are drawn
            independently: nobody stands in two.
        seed: of the draws.
        resamples: number of draws.
        level: share of the resampled values that the interval holds.

    Returns:
        ``(low, high)`` by statistic; empty where a set has fewer than two people.
    """
    owners = [np.unique(np.asarray(each, dtype=str), return_inverse=True)[1] for each in people]
    if min(owner.max(initial=0) for owner in owners) < 1:
        return {}
    found: dict[str, list[NDArray[np.float64]]] = {}
    generator = np.random.default_rng(seed)
    for size in _portions(resamples, max(map(len, owners))):
        for name, values in statistics(*(_draw(owner, size, generator) for owner in owners)).items():
            found.setdefault(name, []).append(values)
    tail = (1 - level) / 2
    ends = {name: np.quantile(np.concatenate(values), [tail, 1 - tail]) for name, values in found.items()}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}


def is_interval_end(metric: str) -> bool:
    """Return whether a metric is the end of an interval, and no number of its own."""
    return metric.endswith((LOW, HIGH))


def weighted_mean(values: NDArray[np.floating], weights: Weights) -> NDArray[np.float64]:
    """Return the mean of (N,) values under each of (B, N) weights: (B,)."""
    mean: NDArray[np.float64] = (weights @ values) / weights.sum(axis=1)
    return mean


def weighted_auc(members: Losses, unseen: Losses, of_members: Weights, of_unseen: Weights) -> NDArray[np.float64]:
    """Return the chance that a member's value is below an unseen one's, ties counted half, under each weighting: (B,).

    Args:
        members: (M,) losses, or scores with their sign turned.
        unseen: (U,) likewise.
        of_members: (B, M) weights.
        of_unseen: (B, U) weights.
    """
    order = np.argsort(unseen)
    ranked = unseen[order]
    mass = np.zeros((len(of_unseen), unseen.size + 1))
    np.cumsum(of_unseen[:, order], axis=1, out=mass[:, 1:])
    below, up_to = (np.searchsorted(ranked, members, side=side) for side in ("left", "right"))
    above = mass[:, -1:] - (mass[:, below] + mass[:, up_to]) / 2
    auc: NDArray[np.float64] = (of_members * above).sum(axis=1) / (of_members.sum(axis=1) * mass[:, -1])
    return auc


def _draw(person: NDArray[np.int64], resamples: int, generator: np.random.Generator) -> Weights:
    """Return how often each sample's person is drawn in each resample, (B, N)."""
    people = int(person.max()) + 1
    drawn = generator.integers(people, size=(resamples, people)) + np.arange(resamples)[:, np.newaxis] * people
    counts = np.bincount(drawn.ravel(), minlength=resamples * people).reshape(resamples, people)
    return counts[:, person].astype(np.float64)


def _portions(total: int, samples: int) -> Iterator[int]:
    at_once = max(1, _NUMBERS_AT_ONCE // samples)
    for start in range(0, total, at_once):
        yield min(at_once, total - start)
