"""Which unseen person stands in for each one to be forgotten: a transport plan between the two sets, class by class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dlfd_ops.unlearning.dlfd.transport import cosine_cost, sinkhorn

MAX_ROWS = 1024
"""Forget samples in one plan; larger classes are cut into several, which bounds the memory."""
MAX_COLUMNS = 4096
"""Unseen samples in one plan, drawn anew for each."""
MAX_ITERATIONS = 500
TOLERANCE = 1e-2


@dataclass(frozen=True)
class Seen:
    """How a model sees N samples.

    Attributes:
        features: (N, D).
        difficulty: (N,) in [0, 1]: rank of the sample's loss, 0 the easiest.
        labels: (N,) int64, or (N, L) float32 for several binary labels.
    """

    features: Tensor
    difficulty: Tensor
    labels: Tensor

    def __getitem__(self, rows: Tensor) -> Seen:
        return Seen(self.features[rows], self.difficulty[rows], self.labels[rows])

    def __len__(self) -> int:
        return len(self.labels)


def rank_share(values: Tensor) -> Tensor:
    """Return the rank of each of (N,) values as a share in [0, 1): 0 for the smallest. Ties keep their order."""
    order = values.argsort(stable=True)
    ranks = torch.empty_like(order)
    ranks[order] = torch.arange(len(values), device=values.device)
    return ranks.double() / len(values)


def strangers_stood_for(unseen: Seen, difficulty: Tensor, labels: Tensor) -> Tensor:
    """Return how many strangers each unseen sample stands for: (M,) int64.

    Those of its labels whose difficulty is nearer to its own than to that of any other unseen sample. A few unseen
    people may happen to be hard ones, or easy ones; so weighted they are as hard as all strangers together.

    Args:
        unseen: M of the strangers.
        difficulty: (N,) of all strangers, the unseen among them: then each stands for one at least.
        labels: (N,) int64 or (N, L) float32, theirs.
    """
    counts = torch.zeros(len(unseen), dtype=torch.int64)
    for kind in torch.unique(unseen.labels, dim=0):
        own, alike = _having(unseen.labels, kind), _having(labels, kind)
        order = own[unseen.difficulty[own].argsort(stable=True)]
        ranks = unseen.difficulty[order]
        nearest = torch.bucketize(difficulty[alike], (ranks[1:] + ranks[:-1]) / 2)
        counts[order] = torch.bincount(nearest, minlength=len(order))
    return counts


def draw_partners(
    forget: Seen,
    unseen: Seen,
    *,
    weights: Tensor,
    difficulty_weight: float,
    epsilon: float,
    generator: torch.Generator,
) -> Tensor:
    """Draw one unseen sample for each forget sample: (N,) row numbers of ``unseen``.

    For every combination of labels the entropic plan between its forget and its unseen samples is solved with the cost

        1 - cos(features) + difficulty_weight * |difficulty - difficulty|

    and a partner is drawn from each row of it. The plan's marginals make the partners' losses those of strangers as a
    whole; its cost makes each partner a likely one where there are several samples to share out. A combination that no
    unseen sample has takes its partners from those whose labels differ least.

    Args:
        forget: the samples to forget.
        unseen: M unseen people, at least one.
        weights: (M,) positive; how many strangers each of them stands for (:func:`strangers_stood_for`).
        difficulty_weight: at least 0, in units of the cosine distance.
        epsilon: entropic regularisation, in the same units.
        generator: of the draws.
    """
    partners = torch.empty(len(forget), dtype=torch.int64)
    kinds, kind_of = torch.unique(forget.labels, dim=0, return_inverse=True)
    for number, kind in enumerate(kinds):
        differing = (unseen.labels != kind).reshape(len(unseen), -1).sum(dim=1)
        candidates = (differing == differing.min()).nonzero()[:, 0].cpu()
        for rows in (kind_of == number).nonzero()[:, 0].cpu().split(MAX_ROWS):
            columns = candidates[torch.randperm(len(candidates), generator=generator)[:MAX_COLUMNS]]
            plan = sinkhorn(
                _cost(forget[rows], unseen[columns], difficulty_weight),
                columns=weights[columns],
                epsilon=epsilon,
                max_iterations=MAX_ITERATIONS,
                tolerance=TOLERANCE,
            ).plan
            drawn = torch.multinomial(plan.float().cpu(), 1, generator=generator)[:, 0]
            partners[rows] = columns[drawn]
    return partners


def same_labels(labels: Tensor, others: Tensor) -> Tensor:
    """Return which of (N,) or (N, L) ``labels`` are all those of ``others``, as many or one for all: (N,) bool."""
    return (labels == others).reshape(len(labels), -1).all(dim=1)


def _having(labels: Tensor, kind: Tensor) -> Tensor:
    return same_labels(labels, kind).nonzero()[:, 0]


def _cost(forget: Seen, unseen: Seen, difficulty_weight: float) -> Tensor:
    apart = (forget.difficulty[:, None] - unseen.difficulty[None, :]).abs()
    return cosine_cost(forget.features, unseen.features) + difficulty_weight * apart
