"""A repository as a user has it: the project's files under Git and DVC, with a local remote."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
COPIED = ("dlfd_ops", "pipelines", "configs", "metrics/retrained.json", "dvc.yaml", "params.yaml", ".dvcignore")


@dataclass(frozen=True)
class Project:
    """One repository.

    Attributes:
        root: its top folder.
    """

    root: Path

    def run(self, *command: str, expect: int = 0, stdin: str | None = None) -> str:
        """Run a command in the repository, check its exit status, and return what it printed."""
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self._environment(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        assert done.returncode == expect, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def set_params(self, **changes: dict[str, object]) -> None:
        """Change keys of sections in ``params.yaml``; nested mappings are merged."""
        path = self.root / "params.yaml"
        params = yaml.safe_load(path.read_text())
        for section, values in changes.items():
            _merge(params[section], values)
        path.write_text(yaml.safe_dump(params, sort_keys=False))

    def _environment(self) -> dict[str, str]:
        scripts = Path(sys.executable).parent
        return {
            **os.environ,
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.root),
            "OMP_NUM_THREADS": "1",
        }


def _merge(old: dict[str, object], new: dict[str, object]) -> None:
    for key, value in new.items():
        inner = old.get(key)
        if isinstance(inner, dict) and isinstance(value, dict):
            _merge(inner, value)
        else:
            old[key] = value


TINY: dict[str, dict[str, object]] = {
    "base": {"image_size": 32},
    "train": {"epochs": 2, "batch_size": 32},
    "unlearn": {
        "batch_size": 16,
        "forget_batch_size": 8,
        "probe": {"every": 4, "images": 16},
        "dlfd": {"anchored": {"bank_size": 16}},
    },
    "evaluate": {"attack_splits": 2},
}


@pytest.fixture(scope="module")
def new_project(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Project]:
    """Return a maker of fresh repositories with tiny settings and no data."""

    def make() -> Project:
        root = tmp_path_factory.mktemp("project")
        for name in COPIED:
            source, target = REPOSITORY / name, root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        (root / ".gitignore").write_text("__pycache__/\n/.dlfd/\n/mlflow.db*\n/mlruns/\n/mlartifacts/\n")
        project = Project(root)
        project.set_params(**TINY)
        for command in (
            ("git", "init", "--quiet"),
            ("git", "config", "user.name", "Test"),
            ("git", "config", "user.email", "test@example.org"),
            ("dvc", "init", "--quiet"),
            ("dvc", "remote", "add", "--default", "store", str(tmp_path_factory.mktemp("remote"))),
            ("git", "add", "--all"),
            ("git", "commit", "--quiet", "--message", "Start"),
        ):
            project.run(*command)
        return project

    return make
