"""Which number format a classifier computes its trunk in: part of the recipe, never of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from dlfd_ops.errors import BadInput
from dlfd_ops.models.classifier import Classifier, Precision


def compute_exactly() -> None:
    """Let a GPU compute float32 convolutions in float32, and by kernels that give the same result every time.

    torch would cut their operands to ten bits (TF32) and take whichever kernel is fastest: a number in the evidence
    could then not be repeated on another card, nor on the same one.
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True


@contextmanager
def computing_in(model: Classifier, precision: Precision) -> Iterator[None]:
    """Let ``model``, which is on its device already, compute in ``precision`` inside the block.

    Raises:
        BadInput: its device has no such format.
    """
    before = model.precision
    set_precision(model, precision)
    try:
        yield
    finally:
        model.precision = before


def set_precision(model: Classifier, precision: Precision) -> None:
    """Let ``model``, which is on its device already, compute in ``precision`` from now on.

    Raises:
        BadInput: its device has no such format.
    """
    device = model.get_buffer("mean").device
    if precision == "bfloat16" and not _has_bfloat16(device):
        raise BadInput(
            "base.precision bfloat16 needs a device that has it",
            received=f"{device.type} without bfloat16",
            remedy="run on another machine, or set float32, which gives another model",
        )
    model.precision = precision


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # oneDNN's own answer; without it torch still computes bfloat16 convolutions, but far slower than float32 ones.
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
