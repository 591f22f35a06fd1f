"""Repositories for tests that run the stages in their own process."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

import pytest
from dvc.repo import Repo

from dlfd_ops.data.synthetic_faces.dataset import Recipe, generate
from dlfd_ops.deletion.suppression import append_suppressed
from tests.pipeline.project import REPOSITORY, TINY, Project


@contextmanager
def delivered(root: Path, subjects: int) -> Iterator[None]:
    """Make a Git and DVC repository of tiny settings with synthetic faces, and work in it.

    Args:
        root: an empty folder.
        subjects: number of people.
    """
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    Repo.init(str(root)).close()
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(REPOSITORY / name, root)
    Project(root).set_params(**TINY)
    with pytest.MonkeyPatch.context() as patch, chdir(root):
        patch.delenv("DLFD_SECRET_KEY", raising=False)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        generate(Path("data/raw"), Recipe(subjects=subjects))
        append_suppressed([])
        Path("metrics").mkdir()
        Path("metrics/retrained.json").write_text("{}\n")
        yield


@contextmanager
def copied(root: Path, folder: Path) -> Iterator[None]:
    """Copy a repository into a new folder, and work in it."""
    shutil.copytree(root, folder, symlinks=True)
    with chdir(folder):
        yield
