"""What the processes of one run exchange beyond gradients."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_gather


def gather(part: Tensor) -> Tensor:
    """Return the parts of all processes as one tensor, (num_processes * B, ...), with a gradient to one's own part.

    Every process then computes the same scalar over the whole; as DistributedDataParallel averages gradients over
    the processes and each part receives the sum of theirs, the result is the gradient of that one scalar. Parts must
    have equal sizes.
    """
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return part
    parts: tuple[Tensor, ...] = all_gather(part)  # type: ignore[no-untyped-call]
    return torch.cat(parts)


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the module inside DistributedDataParallel, for passes that send no gradient to the weights."""
    inner = getattr(model, "module", model)
    assert isinstance(inner, nn.Module)
    return inner
