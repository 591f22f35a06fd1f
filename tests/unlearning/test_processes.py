"""Every method on two real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.unlearning.case import NAMES

REPOSITORY = Path(__file__).parents[2]
PROGRAM = "tests/unlearning/agreement.py"
TOLERANCE = 1e-3
"""Largest difference of a weight, as a share of the farthest that a weight moved: half batches round differently."""
APART = {"dlfd/published"}
"""Its first step is in training mode whatever it is told: half a batch has other statistics, other dropout."""


def run(launch: Sequence[str], folder: Path) -> dict[str, torch.Tensor]:
    """Run all methods, launched in one way, and return all weights of each as one vector."""
    folder.mkdir()
    subprocess.run(
        [*launch, PROGRAM, str(folder)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        check=True,
        timeout=600,
    )
    vectors = {}
    for name in ("start", *NAMES):
        tensors = load_file(folder / f"{name.replace('/', '-')}.safetensors")
        vectors[name] = torch.cat([tensors[key].flatten().double() for key in sorted(tensors)])
    return vectors


@pytest.mark.slow
def test_two_processes_agree_with_one(tmp_path: Path) -> None:
    """At the same global batch, without batch statistics and dropout, every method ends with the same weights."""
    one = run([sys.executable], tmp_path / "one")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    two = run(launcher, tmp_path / "two")
    for name in NAMES:
        moved, apart = (one[name] - one["start"]).abs().max(), (one[name] - two[name]).abs().max()
        assert moved > 0
        assert name in APART or apart < TOLERANCE * moved, f"{name}: {apart:.2e} of {moved:.2e}"
