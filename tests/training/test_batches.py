"""Which samples make up which batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlfd_ops.data.pixels import StoredPixels
from dlfd_ops.data.png import to_png
from dlfd_ops.training.batches import BatchPlan, PlannedPixels, share

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
    """Every process takes as many samples, none twice, and fewer than one a process are left out.

    Of fewer samples than processes each process takes one, and each sample is taken. A sample alone comes twice, as
    batch norm has no statistics over one value.
    """
    batch = torch.arange(size)
    parts = [share(batch, rank, processes) for rank in range(processes)]
    assert len({len(part) for part in parts}) == 1
    assert len(parts[0]) >= 2
    alone = size < 2 * processes
    assert not alone or all(len(part) == 2 and part[0] == part[1] for part in parts)
    together = torch.cat([part[:1] if alone else part for part in parts])
    if size < processes:
        assert (len(together), set(together.tolist())) == (processes, set(range(size)))
    else:
        assert len(set(together.tolist())) == len(together) > size - processes


def test_epochs_differ() -> None:
    """The order is drawn anew every epoch."""
    plan = BatchPlan(100, 100, seed=1)
    assert not torch.equal(plan.batch(0), plan.batch(1))


def test_images_on_disk_make_the_same_batches(tmp_path: Path) -> None:
    """Read ahead or not, in order, out of order or begun in the middle, each step gets its own images."""
    files = [tmp_path / f"{number}.png" for number in range(9)]
    for number, file in enumerate(files):
        file.write_bytes(to_png(np.full((8, 8, 3), number, dtype=np.uint8)))
    stored, device = StoredPixels(files, 8), torch.device("cpu")
    plan = BatchPlan(9, 4, seed=3)
    memory = PlannedPixels(stored[:], plan, device)
    for steps in ([0, 1, 2, 3], [5, 6], [2, 2, 0]):
        disk = PlannedPixels(stored, plan, device)
        for step in steps:
            pixels, indices = disk.batch(step, rank=1, num_processes=2)
            expected, same = memory.batch(step, rank=1, num_processes=2)
            assert torch.equal(pixels, expected)
            assert torch.equal(indices, same)
            assert pixels[:, 0, 0, 0].tolist() == indices.tolist()
