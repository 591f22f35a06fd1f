"""Which samples make up which batch."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from dlfd_ops.training.batches import BatchPlan, share

PLANS = st.builds(BatchPlan, st.integers(1, 200), st.integers(2, 64), st.integers(0, 1000))


@given(plan=PLANS, epoch=st.integers(0, 3))
def test_an_epoch_sees_no_sample_twice(plan: BatchPlan, epoch: int) -> None:
    """The batches of an epoch are disjoint, and as full as the set allows."""
    first = epoch * plan.steps_per_epoch
    batches = [plan.batch(step) for step in range(first, first + plan.steps_per_epoch)]
    seen = torch.cat(batches)
    assert len(set(seen.tolist())) == len(seen)
    assert all(len(batch) == min(plan.batch_size, plan.num_samples) for batch in batches)
    assert len(seen) > plan.num_samples - plan.batch_size


@given(plan=PLANS, step=st.integers(0, 500))
def test_a_step_is_a_function_of_seed_and_step(plan: BatchPlan, step: int) -> None:
    """Asking again, or in another process, gives the same samples."""
    assert torch.equal(plan.batch(step), BatchPlan(plan.num_samples, plan.batch_size, plan.seed).batch(step))


@given(size=st.integers(1, 100), processes=st.integers(1, 8))
def test_shares_are_equal_and_disjoint(size: int, processes: int) -> None:
    """Every process takes as many samples, none twice, and fewer than one a process are left out."""
    batch = torch.arange(size)
    parts = [share(batch, rank, processes) for rank in range(processes)]
    assert len({len(part) for part in parts}) == 1
    together = torch.cat(parts)
    assert len(set(together.tolist())) == len(together) > size - processes


def test_epochs_differ() -> None:
    """The order is drawn anew every epoch."""
    plan = BatchPlan(100, 100, seed=1)
    assert not torch.equal(plan.batch(0), plan.batch(1))
