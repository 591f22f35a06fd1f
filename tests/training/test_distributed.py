"""Two real processes and one agree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

SCRIPT = Path(__file__).with_name("unlearn_tiny.py")
TOLERANCE = 2e-4
"""Largest difference of a weight: sums over half batches round differently, and each step builds on the last."""


def run_script(processes: int, out: Path) -> None:
    """Run the tiny unlearning under torchrun on the CPU."""
    subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            f"--nproc_per_node={processes}",
            str(SCRIPT),
            str(out),
        ],
        check=True,
        timeout=300,
        capture_output=True,
    )


@pytest.mark.slow
def test_two_processes_agree_with_one(tmp_path: Path) -> None:
    """At the same global batch, with frozen batch-norm statistics, the weights agree; only rank 0 writes."""
    results = []
    for processes in (1, 2):
        out = tmp_path / str(processes)
        run_script(processes, out)
        assert sorted(path.name for path in out.iterdir()) == ["rank-0.safetensors"]
        results.append(load_file(out / "rank-0.safetensors"))
    one, two = results
    largest = max(float((one[name] - two[name]).abs().max()) for name in one if one[name].is_floating_point())
    assert largest < TOLERANCE
