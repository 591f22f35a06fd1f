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
TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
TOLERANCE = 1e-3
"""Largest difference of a weight, as a share of the farthest that a weight moved: half batches round differently."""
APART = {"dlfd/published"}
"""Its first step is in training mode whatever it is told: half a batch has other statistics, other dropout."""


def launch(starter: Sequence[str], folder: Path, *arguments: str) -> None:
    """Run the program, started in one way."""
    folder.mkdir(exist_ok=True)
    subprocess.run(
        [*starter, PROGRAM, str(folder), *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        check=True,
        timeout=600,
    )


def run(starter: Sequence[str], folder: Path) -> dict[str, torch.Tensor]:
    """Run all methods, started in one way, and return all weights of each as one vector."""
    launch(starter, folder)
    vectors = {}
    for name in ("start", *NAMES):
        tensors = load_file(folder / f"{name.replace('/', '-')}.safetensors")
        vectors[name] = torch.cat([tensors[key].flatten().double() for key in sorted(tensors)])
    return vectors


@pytest.mark.slow
def test_two_processes_agree_with_one(tmp_path: Path) -> None:
    """At the same global batch, without batch statistics and dropout, every method ends with the same weights."""
    one = run([sys.executable], tmp_path / "one")
    two = run(TWO, tmp_path / "two")
    for name in NAMES:
        moved, apart = (one[name] - one["start"]).abs().max(), (one[name] - two[name]).abs().max()
        assert moved > 0
        assert name in APART or apart < TOLERANCE * moved, f"{name}: {apart:.2e} of {moved:.2e}"


@pytest.mark.slow
def test_a_resumed_run_of_two_processes_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    """To the byte: each has seen other photos, and what they go on with is what the checkpoint holds."""
    launch(TWO, tmp_path, "resumed")
    for name in ("dlfd-anchored", "dlfd-paper"):
        broken, whole = (load_file(tmp_path / f"{name}-{part}.safetensors") for part in ("broken", "whole"))
        assert all(torch.equal(broken[key], whole[key]) for key in whole), name
