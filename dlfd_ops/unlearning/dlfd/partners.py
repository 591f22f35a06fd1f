"""Which unseen person stands in for each one to be forgotten: a transport plan between the two sets, class by class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dlfd_ops.unlearning.dlfd.transport import cosine_cost, sinkhorn

MAX_ROWS = 1024
"""Forget samples in one plan; larger classes are cut into several, which bounds the memory."""
MAX_COLUMNS = 4096
"""Anchor samples in one plan, drawn anew for each."""
MAX_ITERATIONS = 500
TOLERANCE = 1e-2


@dataclass(frozen=True)
class Seen:
    """How a model sees N samples.

    Attributes:
        features: (N, D).
        difficulty: (N,) in [0, 1]: rank of the sample's loss in its set, 0 the easiest.
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


def draw_partners(
    forget: Seen, anchor: Seen, *, difficulty_weight: float, epsilon: float, generator: torch.Generator
) -> Tensor:
    """Draw one anchor sample for each forget sample: (N,) row numbers of ``anchor``.

    For every combination of labels the entropic plan between its forget and its anchor samples is solved with the cost

        1 - cos(features) + difficulty_weight * |difficulty - difficulty|

    and a partner is drawn from each row of it. The plan's uniform marginals make the partners' losses those of unseen
    people as a whole; its cost makes each partner a likely one where there are several samples to share out. A
    combination that no anchor sample has takes its partners from those whose labels differ least.

    Args:
        forget: the samples to forget.
        anchor: unseen people, at least one.
        difficulty_weight: at least 0, in units of the cosine distance.
        epsilon: entropic regularisation, in the same units.
        generator: of the draws.
    """
    partners = torch.empty(len(forget), dtype=torch.int64)
    kinds, kind_of = torch.unique(forget.labels, dim=0, return_inverse=True)
    for number, kind in enumerate(kinds):
        differing = (anchor.labels != kind).reshape(len(anchor), -1).sum(dim=1)
        candidates = (differing == differing.min()).nonzero()[:, 0].cpu()
        for rows in (kind_of == number).nonzero()[:, 0].cpu().split(MAX_ROWS):
            columns = candidates[torch.randperm(len(candidates), generator=generator)[:MAX_COLUMNS]]
            cost = _cost(forget[rows], anchor[columns], difficulty_weight)
            plan = sinkhorn(cost, epsilon=epsilon, max_iterations=MAX_ITERATIONS, tolerance=TOLERANCE).plan
            drawn = torch.multinomial(plan.float().cpu(), 1, generator=generator)[:, 0]
            partners[rows] = columns[drawn]
    return partners


def _cost(forget: Seen, anchor: Seen, difficulty_weight: float) -> Tensor:
    apart = (forget.difficulty[:, None] - anchor.difficulty[None, :]).abs()
    return cosine_cost(forget.features, anchor.features) + difficulty_weight * apart
