"""Which samples make up which batch: a function of seed, epoch and step alone.

That is what makes a run resumable at any step, and what makes one process and many see the
same global batches: every process takes its own share of each.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from dlfd_ops.data.pixels import Pixels


@dataclass(frozen=True)
class BatchPlan:
    """The global batches of a run over ``num_samples`` samples.

    Attributes:
        num_samples: size of the set.
        batch_size: samples a global batch, over all processes together.
        seed: of the shuffling.
    """

    num_samples: int
    batch_size: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Full batches an epoch (the rest of a shuffled epoch is left out), at least one."""
        return max(1, self.num_samples // self.batch_size)

    def batch(self, step: int) -> Tensor:
        """Return the sample indices of global step ``step`` (from 0): (batch_size,) int64, fewer in a tiny set.

        Epoch after epoch the set is shuffled anew, so a step beyond the first epoch is well defined too.
        """
        epoch, position = divmod(step, self.steps_per_epoch)
        order = _order(self.num_samples, self.seed, epoch)
        return order[position * self.batch_size : (position + 1) * self.batch_size]


@lru_cache(maxsize=4)
def _order(num_samples: int, seed: int, epoch: int) -> Tensor:
    """Return the order of one epoch; kept, because every step of the epoch asks for it."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(num_samples, generator=generator)


class PlannedPixels:
    """The images of a plan's batches, on the device.

    Images in memory are moved there once. Of images on disk, a thread reads those of the next step while this one is
    computed with; as a batch is a function of the step, a run that resumes at any step gets the same ones.

    Args:
        pixels: of all samples.
        plan: which of them make up which batch.
        device: where the batches go.
    """

    def __init__(self, pixels: Pixels, plan: BatchPlan, device: torch.device) -> None:
        self._pixels = pixels.to(device) if isinstance(pixels, Tensor) else pixels
        self._plan = plan
        self._device = device
        self._thread = ThreadPoolExecutor(1)
        self._next: tuple[int, Future[Tensor]] | None = None

    def batch(self, step: int, *, rank: int, num_processes: int) -> tuple[Tensor, Tensor]:
        """Return one process's share of a batch: (B, 3, S, S) uint8 images and their (B,) indices, on the device."""

        def rows(number: int) -> Tensor:
            return share(self._plan.batch(number), rank, num_processes)

        indices = rows(step).to(self._device)
        if isinstance(self._pixels, Tensor):
            return self._pixels[indices], indices
        expected, reading = self._next or (None, None)
        if reading is None or expected != step:
            reading = self._read(rows(step))
        self._next = (step + 1, self._read(rows(step + 1)))
        return reading.result().to(self._device, non_blocking=True), indices

    def _read(self, rows: Tensor) -> Future[Tensor]:
        return self._thread.submit(self._pixels.__getitem__, rows)


def share(batch: Tensor, rank: int, num_processes: int) -> Tensor:
    """Return the part of a global ``batch`` that process ``rank`` works on; parts have equal sizes.

    A batch that does not divide evenly loses its last few samples, so that a mean over processes is the mean over
    the batch. One with fewer samples than there are processes is dealt out in turn, again and again: an empty part has
    no mean. A part of one sample holds it twice, which is the same mean: batch norm has no statistics over one value.
    """
    size = max(1, len(batch) // num_processes)
    first = rank * size % len(batch)
    part = batch[first : first + size]
    return part.repeat(2) if size == 1 else part
