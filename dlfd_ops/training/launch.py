"""The processes that Accelerate launched."""

from __future__ import annotations

import torch
from accelerate import Accelerator

from dlfd_ops.models.precision import compute_exactly


def start_accelerator() -> Accelerator:
    """Return the accelerator of this process, as its launch profile says; on the CPU where there is no GPU.

    The profile says how many processes and which devices. How to compute is ``base.precision``, whatever it says.
    """
    compute_exactly()
    return Accelerator(cpu=not torch.cuda.is_available(), mixed_precision="no")
