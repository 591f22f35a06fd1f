"""A stage that is killed goes on from its checkpoint, to the same result."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dlfd_ops.models.checkpoint import weights_digest
from tests.pipeline.project import Project

DEADLINE_SECONDS = 300


def kill_after_first_checkpoint(project: Project, stage: str) -> None:
    """Start a stage's program and kill it without warning once its first checkpoint stands."""
    state = project.root / ".dlfd/checkpoints" / stage / "state.json"
    started = subprocess.Popen(
        ["accelerate", "launch", "--config_file", "configs/accelerate/cpu.yaml", f"pipelines/{stage}.py"],
        cwd=project.root,
        env=project.environment(),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not state.exists():
        assert started.poll() is None, "the stage ended before its first checkpoint"
        assert time.monotonic() < deadline, "no checkpoint within the deadline"
        time.sleep(0.02)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    assert state.exists()


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "model"), [("train", "original"), ("unlearn", "unlearned")])
def test_a_killed_stage_ends_where_an_unbroken_one_does(
    new_project: Callable[[], Project], stage: str, model: str
) -> None:
    """Killed after a checkpoint and started again, the weights are the same bytes as those of an unbroken run."""
    project = new_project()
    project.set_params(train={"epochs": 4}, unlearn={"epochs": 3, "checkpoint_every": 1})
    project.run("python", "-m", "dlfd_ops.data.synthetic_faces", "--root", "data/raw", "--subjects", "24")
    project.run("dvc", "add", "--quiet", "data/raw")
    for subject in ("person-00000", "person-00004", "person-00008", "person-00012"):
        project.run("dlfd-ops", "request", "add", "--subject", "-", stdin=f"{subject}\n")
    project.run("dvc", "repro", stage)
    unbroken = weights_digest(project.root / "models" / model)
    checkpoints = project.root / ".dlfd/checkpoints" / stage
    assert not checkpoints.exists(), "a run that ended keeps no checkpoint"

    forget(project.root / "models" / model)
    kill_after_first_checkpoint(project, stage)
    assert not (project.root / "models" / model / "weights.safetensors").exists()
    project.run("accelerate", "launch", "--config_file", "configs/accelerate/cpu.yaml", f"pipelines/{stage}.py")
    assert weights_digest(project.root / "models" / model) == unbroken
    assert not checkpoints.exists()


def forget(folder: Path) -> None:
    """Remove the files of a model, as DVC does before a stage runs."""
    for file in folder.iterdir():
        file.unlink()
