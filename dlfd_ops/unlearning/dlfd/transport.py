"""Optimal transport between two sets of features.

Entropic transport (Cuturi, NeurIPS 2013, arXiv 1306.0895) by Sinkhorn's iteration in the log domain
(Peyre & Cuturi, "Computational Optimal Transport", 2019, section 4.4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

CHECK_EVERY = 10
"""Iterations between two looks at the marginals: each look makes a device wait."""


@dataclass(frozen=True)
class Transport:
    """Result of :func:`sinkhorn`.

    Attributes:
        cost: scalar <plan, cost>, with the gradient of the entropic problem with respect to the cost matrix
            (the plan, by the envelope theorem).
        plan: (N, M), detached; columns sum to the target marginal exactly, rows up to ``violation``.
        violation: largest L1 distance of the row sums from the source marginal.
        converged: whether ``violation`` is at most the tolerance.
        iterations: done.
    """

    cost: Tensor
    plan: Tensor
    violation: float
    converged: bool
    iterations: int


def cosine_cost(x: Tensor, y: Tensor) -> Tensor:
    """Return 1 - cosine similarity of (N, D) and (M, D) vectors: (N, M), between 0 and 2."""
    return 1 - nn.functional.normalize(x.float(), dim=1) @ nn.functional.normalize(y.float(), dim=1).T


def sinkhorn(cost: Tensor, *, epsilon: float, max_iterations: int, tolerance: float) -> Transport:
    """Solve entropic optimal transport between uniform marginals.

    minimise over plans P with row sums 1/N and column sums 1/M:  <P, cost> + epsilon * sum P (log P - 1)

    Args:
        cost: (N, M) finite.
        epsilon: entropic regularisation, above 0, in units of the cost.
        max_iterations: at most this many.
        tolerance: L1 violation of the row marginals that counts as converged.

    Raises:
        ValueError: the cost has no two dimensions or an empty one, or epsilon is not above 0.
    """
    if cost.dim() != 2 or 0 in cost.shape:
        raise ValueError(f"the cost must be a matrix with rows and columns, received shape {tuple(cost.shape)}")
    if epsilon <= 0:
        raise ValueError(f"epsilon must be above 0, received {epsilon}")
    with torch.no_grad():
        log_plan, violation, iterations = _sinkhorn_log(
            -cost.detach().double() / epsilon, max_iterations=max_iterations, tolerance=tolerance
        )
        plan = log_plan.exp().to(cost.dtype)
    return Transport((plan * cost).sum(), plan, violation, violation <= tolerance, iterations)


def _sinkhorn_log(kernel: Tensor, *, max_iterations: int, tolerance: float) -> tuple[Tensor, float, int]:
    """Iterate on (N, M) ``kernel`` = -cost / epsilon; returns the log plan, the row violation, the iterations."""
    log_rows, log_columns = -math.log(kernel.shape[0]), -math.log(kernel.shape[1])
    u = kernel.new_zeros(kernel.shape[0])
    v = kernel.new_zeros(kernel.shape[1])
    violation, iteration = math.inf, 0
    for iteration in range(1, max_iterations + 1):
        u = log_rows - torch.logsumexp(kernel + v[None, :], dim=1)
        v = log_columns - torch.logsumexp(kernel + u[:, None], dim=0)
        if iteration % CHECK_EVERY == 0 or iteration == max_iterations:
            violation = _row_violation(kernel + u[:, None] + v[None, :])
            if violation <= tolerance:
                break
    return kernel + u[:, None] + v[None, :], violation, iteration


def _row_violation(log_plan: Tensor) -> float:
    rows = torch.logsumexp(log_plan, dim=1).exp()
    return float((rows - 1 / log_plan.shape[0]).abs().sum())
