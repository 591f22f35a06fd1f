"""Laws and closed forms of optimal transport, and POT as an independent solver."""

from __future__ import annotations

from functools import partial

import numpy as np
import ot
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dlfd_ops.unlearning.dlfd.transport import cosine_cost, sinkhorn

SIZES = st.integers(min_value=1, max_value=12)
SEEDS = st.integers(min_value=0, max_value=10_000)


def random_cost(rows: int, columns: int, seed: int) -> torch.Tensor:
    """Return a cost matrix of random directions."""
    generator = torch.Generator().manual_seed(seed)
    return cosine_cost(torch.randn(rows, 5, generator=generator), torch.randn(columns, 5, generator=generator))


@given(rows=SIZES, columns=SIZES, seed=SEEDS)
@example(rows=2, columns=2, seed=4380)
@settings(max_examples=60, deadline=None)
def test_a_plan_says_how_far_it_is_from_uniform_marginals(rows: int, columns: int, seed: int) -> None:
    """Columns sum to 1/M exactly, rows to 1/N but for the violation, and within the tolerance it has converged.

    The example is close to a permutation, where the iteration is slowest and its bound ends it.
    """
    result = sinkhorn(random_cost(rows, columns, seed), epsilon=0.1, max_iterations=2000, tolerance=1e-4)
    assert torch.allclose(result.plan.sum(dim=0), torch.full((columns,), 1 / columns), atol=1e-5)
    violation = float((result.plan.sum(dim=1) - 1 / rows).abs().sum())
    assert violation == pytest.approx(float(result.violation), abs=1e-5)
    assert bool(result.converged) == (float(result.violation) <= 1e-4)


@given(rows=SIZES, columns=SIZES, seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_columns_weigh_what_they_are_told(rows: int, columns: int, seed: int) -> None:
    """Column sums are proportional to the weights; equal ones are the uniform problem."""
    cost = random_cost(rows, columns, seed)
    weights = torch.randint(1, 9, (columns,), generator=torch.Generator().manual_seed(seed))
    solve = partial(sinkhorn, epsilon=0.1, max_iterations=200, tolerance=1e-4)
    plan = solve(cost, columns=weights).plan
    assert torch.allclose(plan.sum(dim=0), (weights / weights.sum()).to(plan), atol=1e-5)
    assert torch.allclose(solve(cost, columns=torch.full((columns,), 7)).plan, solve(cost).plan, atol=1e-6)


def test_the_iteration_converges() -> None:
    """Between sets without an exact match it needs no more than a few hundred iterations."""
    results = [sinkhorn(random_cost(9, 12, seed), epsilon=0.1, max_iterations=300, tolerance=1e-4) for seed in range(9)]
    assert all(result.converged for result in results)


@given(rows=SIZES, columns=SIZES, seed=SEEDS, scale=st.floats(0.1, 10))
@settings(max_examples=40, deadline=None)
def test_cost_scales_with_the_cost_matrix(rows: int, columns: int, seed: int, scale: float) -> None:
    """Scaling cost and epsilon together scales the transport cost and keeps the plan."""
    cost = random_cost(rows, columns, seed)
    one = sinkhorn(cost, epsilon=0.1, max_iterations=500, tolerance=1e-5)
    scaled = sinkhorn(scale * cost, epsilon=scale * 0.1, max_iterations=500, tolerance=1e-5)
    assert float(scaled.cost) == pytest.approx(scale * float(one.cost), rel=1e-3, abs=1e-6)


@given(size=SIZES, other=SIZES, seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_transport_is_symmetric(size: int, other: int, seed: int) -> None:
    """There and back costs the same."""
    cost = random_cost(size, other, seed)
    there = sinkhorn(cost, epsilon=0.1, max_iterations=5000, tolerance=1e-6)
    back = sinkhorn(cost.T, epsilon=0.1, max_iterations=5000, tolerance=1e-6)
    assert float(there.cost) == pytest.approx(float(back.cost), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("epsilon", [0.5, 0.05, 0.01])
def test_sinkhorn_agrees_with_pot(epsilon: float) -> None:
    """The plan is POT's log-domain Sinkhorn plan, also at the paper's small epsilon."""
    cost = random_cost(20, 15, seed=3).double()
    weights = torch.arange(15) % 2 + 1
    ours = sinkhorn(cost, columns=weights, epsilon=epsilon, max_iterations=20_000, tolerance=1e-9)
    theirs = ot.sinkhorn(
        np.full(20, 1 / 20),
        (weights / weights.sum()).numpy(),
        cost.numpy(),
        epsilon,
        method="sinkhorn_log",
        numItermax=20_000,
        stopThr=1e-12,
    )
    assert np.abs(ours.plan.numpy() - theirs).sum() < 1e-5


def test_small_epsilon_approaches_exact_transport() -> None:
    """The entropic cost falls to the exact cost of POT's network simplex."""
    cost = random_cost(16, 16, seed=5).double()
    exact = ot.emd2(np.full(16, 1 / 16), np.full(16, 1 / 16), cost.numpy())
    loose = float(sinkhorn(cost, epsilon=0.5, max_iterations=5000, tolerance=1e-8).cost)
    tight = float(sinkhorn(cost, epsilon=0.002, max_iterations=50_000, tolerance=1e-6).cost)
    assert tight == pytest.approx(exact, abs=2e-3)
    assert loose > tight


def test_gradient_is_that_of_the_entropic_value() -> None:
    """By the envelope theorem the gradient with respect to the cost is the plan: checked by finite differences."""
    cost = random_cost(4, 5, seed=7).double()
    cost.requires_grad_(True)
    result = sinkhorn(cost, epsilon=0.2, max_iterations=20_000, tolerance=1e-12)
    (gradient,) = torch.autograd.grad(result.cost, cost)

    def value(matrix: torch.Tensor) -> float:
        plan = sinkhorn(matrix, epsilon=0.2, max_iterations=20_000, tolerance=1e-12).plan
        return float((plan * matrix).sum() + 0.2 * (plan * (plan.log() - 1)).sum())

    for row, column in [(0, 0), (2, 3), (3, 4)]:
        step = torch.zeros_like(cost)
        step[row, column] = 1e-5
        slope = (value(cost.detach() + step) - value(cost.detach() - step)) / 2e-5
        assert float(gradient[row, column]) == pytest.approx(slope, rel=1e-4, abs=1e-8)


def test_too_few_iterations_are_told() -> None:
    """A result that has not converged says so."""
    result = sinkhorn(random_cost(20, 15, seed=1), epsilon=0.001, max_iterations=1, tolerance=1e-6)
    assert not result.converged
    assert result.iterations == 1


def test_a_device_never_waits_and_ends_where_the_processor_does() -> None:
    """Not looking at the convergence changes nothing: the potentials stay once they have converged."""
    cost = random_cost(20, 15, seed=4)
    looked = sinkhorn(cost, epsilon=0.1, max_iterations=95, tolerance=1e-3)
    assert 10 <= int(looked.iterations) < 95
    blind = sinkhorn(cost.as_subclass(Elsewhere), epsilon=0.1, max_iterations=95, tolerance=1e-3)
    assert torch.equal(looked.plan, blind.plan.as_subclass(torch.Tensor))
    assert int(blind.iterations) == int(looked.iterations)


class Elsewhere(torch.Tensor):
    """A tensor that says that it is not on the CPU, and that refuses to be read there."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """Claim an accelerator."""
        return torch.device("meta")

    def __bool__(self) -> bool:
        """Refuse, as reading makes a device wait."""
        raise AssertionError("the loop looked at a value on the device")


@pytest.mark.parametrize(("shape", "epsilon"), [((0, 3), 0.1), ((3,), 0.1), ((2, 2), 0.0)])
def test_senseless_problems_are_refused(shape: tuple[int, ...], epsilon: float) -> None:
    """Empty, flat or unregularised problems raise ValueError."""
    with pytest.raises(ValueError, match="must be"):
        sinkhorn(torch.zeros(shape), epsilon=epsilon, max_iterations=5, tolerance=0.1)


def test_cosine_cost_bounds() -> None:
    """Same direction costs 0, opposite 2, orthogonal 1, whatever the lengths."""
    x = torch.tensor([[2.0, 0.0]])
    y = torch.tensor([[5.0, 0.0], [-1.0, 0.0], [0.0, 3.0]])
    assert torch.allclose(cosine_cost(x, y), torch.tensor([[0.0, 2.0, 1.0]]), atol=1e-6)
