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
    if _is_alone():
        return part
    parts: tuple[Tensor, ...] = all_gather(part)  # type: ignore[no-untyped-call]
    return torch.cat(parts)


def from_first(value: Tensor) -> Tensor:
    """Return what rank 0 found, on every process; every process calls it with a value of the same shape and type.

    For what decides how a run goes on: processes see other images, and so each has batch-norm statistics of its own,
    and close to a threshold two of them would decide differently.
    """
    if _is_alone():
        return value
    agreed = value.contiguous().clone()
    dist.broadcast(agreed, src=0)
    return agreed


def share_buffers(model: nn.Module) -> None:
    """Give every process the buffers of rank 0 (batch-norm statistics), as a checkpoint holds no others.

    DistributedDataParallel would do so before a wrapped pass only, and what a method or the probe asks of the module
    inside would depend on the process, and on whether the run was resumed.
    """
    if _is_alone():
        return
    kinds: dict[torch.dtype, list[Tensor]] = {}
    for buffer in model.buffers():
        kinds.setdefault(buffer.dtype, []).append(buffer)
    for alike in kinds.values():  # together: a hundred small messages would wait for one another
        agreed = torch.cat([buffer.flatten() for buffer in alike])
        dist.broadcast(agreed, src=0)
        for buffer, value in zip(alike, torch.split(agreed, [buffer.numel() for buffer in alike]), strict=True):
            buffer.copy_(value.view_as(buffer))


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the module inside DistributedDataParallel, for passes that send no gradient to the weights."""
    inner = getattr(model, "module", model)
    assert isinstance(inner, nn.Module)
    return inner


def _is_alone() -> bool:
    return not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1
