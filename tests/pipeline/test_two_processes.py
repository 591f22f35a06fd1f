"""The unlearn stage on two real processes agrees with one, and only rank 0 writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.pipeline.project import Project

TOLERANCE = 0.01
"""Largest difference of a weight, as a share of the farthest that a weight moved: half batches round differently, and
every step builds on the last."""
COUNT_RUNS = (
    "from mlflow import MlflowClient; c = MlflowClient('sqlite:///mlflow.db');"
    "e = c.get_experiment_by_name('dlfd-synthetic').experiment_id;"
    "print(len(c.search_runs([e], \"tags.`dlfd.model` = 'unlearned'\")))"
)


def weights(folder: Path) -> torch.Tensor:
    """Return all floating-point weights of a saved model as one vector."""
    tensors = load_file(folder / "weights.safetensors")
    return torch.cat([tensors[name].flatten() for name in sorted(tensors) if tensors[name].is_floating_point()])


@pytest.mark.slow
def test_two_processes_agree_with_one(new_project: Callable[[], Project]) -> None:
    """At the same global batch, with frozen batch-norm statistics, the weights agree; one run, one event."""
    project = new_project()
    project.set_params(
        unlearn={"learning_rate": 0.001, "probe": {"threshold": -1}, "dlfd": {"anchored": {"batch_norm": "frozen"}}}
    )
    project.run("python", "-m", "dlfd_ops.data.synthetic_faces", "--root", "data/raw", "--subjects", "24")
    project.run("dvc", "add", "--quiet", "data/raw")
    for subject in ("person-00000", "person-00004", "person-00008", "person-00012"):
        project.run("dlfd-ops", "request", "add", "--subject", "-", stdin=f"{subject}\n")
    project.run("dvc", "repro", "unlearn")
    folder = project.root / "models/unlearned"
    original, one = weights(project.root / "models/original"), weights(folder)
    ledger = project.root / "audit/ledger.jsonl"
    told = len(ledger.read_text().splitlines())

    for file in folder.iterdir():
        file.unlink()
    launch = ("torchrun", "--standalone", "--nproc_per_node", "2")
    project.run(*launch, "pipelines/unlearn.py")
    two = weights(folder)
    moved, apart = (one - original).abs().max(), (one - two).abs().max()
    assert moved > 0
    assert apart < TOLERANCE * moved
    assert sorted(file.name for file in folder.iterdir()) == ["model.json", "weights.safetensors"]
    events = [json.loads(line) for line in ledger.read_text().splitlines()[told:]]
    assert [event["kind"] for event in events] == ["unlearned"]
    assert project.run("python", "-c", COUNT_RUNS).splitlines()[-1] == "2"
