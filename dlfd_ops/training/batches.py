"""Which samples make up which batch: a function of seed, epoch and step alone.

That is what makes a run resumable at any step, and what makes one process and many see the
same global batches: every process takes its own share of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor


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


def share(batch: Tensor, rank: int, num_processes: int) -> Tensor:
    """Return the part of a global ``batch`` that process ``rank`` works on; parts have equal sizes.

    A batch that does not divide evenly loses its last few samples, so that a mean over processes is the mean over
    the batch.
    """
    size = len(batch) // num_processes
    return batch[rank * size : (rank + 1) * size]
