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
"""Iterations between two looks at the marginals."""


@dataclass(frozen=True)
class Transport:
    """Result of :func:`sinkhorn`.

    Attributes:
        cost: scalar <plan, cost>, with the gradient of the entropic problem with respect to the cost matrix
            (the plan, by the envelope theorem).
        plan: (N, M), detached; columns sum to the target marginal exactly, rows up to ``violation``.
        violation: scalar, L1 distance of the row sums from the source marginal.
        converged: scalar, whether ``violation`` is at most the tolerance.
        iterations: scalar, until then. All three lie on the device: reading one makes it wait.
    """

    cost: Tensor
    plan: Tensor
    violation: Tensor
    converged: Tensor
    iterations: Tensor


def cosine_cost(x: Tensor, y: Tensor) -> Tensor:
    """Return 1 - cosine similarity of (N, D) and (M, D) vectors: (N, M), between 0 and 2."""
    return 1 - nn.functional.normalize(x.float(), dim=1) @ nn.functional.normalize(y.float(), dim=1).T


def sinkhorn(
    cost: Tensor, *, epsilon: float, max_iterations: int, tolerance: float, columns: Tensor | None = None
) -> Transport:
    """Solve entropic optimal transport.

    minimise over plans P with row sums 1/N and the given column sums:  <P, cost> + epsilon * sum P (log P - 1)

    Args:
        cost: (N, M) finite.
        epsilon: entropic regularisation, above 0, in units of the cost.
        max_iterations: at most this many.
        tolerance: L1 violation of the row marginals that counts as converged.
        columns: (M,) positive weights that the column sums are proportional to; uniform where there are none.

    Raises:
        ValueError: the cost has no two dimensions or an empty one, or epsilon is not above 0.
    """
    if cost.dim() != 2 or 0 in cost.shape:
        raise ValueError(f"the cost must be a matrix with rows and columns, received shape {tuple(cost.shape)}")
    if epsilon <= 0:
        raise ValueError(f"epsilon must be above 0, received {epsilon}")
    with torch.no_grad():
        kernel = -cost.detach().double() / epsilon
        weights = kernel.new_ones(kernel.shape[1]) if columns is None else columns.to(kernel)
        log_plan, violation, iterations = _sinkhorn_log(
            kernel, (weights / weights.sum()).log(), max_iterations=max_iterations, tolerance=tolerance
        )
        plan = log_plan.exp().to(cost.dtype)
    return Transport((plan * cost).sum(), plan, violation, violation <= tolerance, iterations)


def _sinkhorn_log(
    kernel: Tensor, log_columns: Tensor, *, max_iterations: int, tolerance: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Iterate on (N, M) ``kernel`` = -cost / epsilon; returns the log plan, the row violation, the iterations.

    Once converged the potentials stay as they are. An accelerator runs on through the remaining iterations, which is
    cheaper than to wait for its answer; on the CPU the answer costs nothing and ends the loop. Both end alike.
    """
    u, v = kernel.new_zeros(kernel.shape[0]), kernel.new_zeros(kernel.shape[1])
    violation, iterations = kernel.new_full((), math.inf), kernel.new_zeros((), dtype=torch.int64)
    for done in range(0, max_iterations, CHECK_EVERY):
        running = violation > tolerance
        if kernel.device.type == "cpu" and not running:
            break
        count = min(CHECK_EVERY, max_iterations - done)
        next_u, next_v = _iterate(kernel, v, log_columns, count)
        u, v = torch.where(running, next_u, u), torch.where(running, next_v, v)
        violation = _row_violation(kernel + u[:, None] + v[None, :])
        iterations = iterations + running * count
    return kernel + u[:, None] + v[None, :], violation, iterations


def _iterate(kernel: Tensor, v: Tensor, log_columns: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the potentials after ``count`` iterations, at least one, from the column potential ``v``."""
    log_rows = -math.log(kernel.shape[0])
    for _ in range(count):
        u = log_rows - torch.logsumexp(kernel + v[None, :], dim=1)
        v = log_columns - torch.logsumexp(kernel + u[:, None], dim=0)
    return u, v


def _row_violation(log_plan: Tensor) -> Tensor:
    rows = torch.logsumexp(log_plan, dim=1).exp()
    return (rows - 1 / log_plan.shape[0]).abs().sum()
