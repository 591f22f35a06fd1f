"""A repository as a user has it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
COPIED = (
    "dlfd_ops",
    "pipelines",
    "configs",
    "deletion/suppression.csv",
    "metrics/retrained.json",
    "dvc.yaml",
    "params.yaml",
    ".dvcignore",
)


@dataclass(frozen=True)
class Project:
    """One repository.

    Attributes:
        root: its top folder.
        variables: environment variables of its user.
    """

    root: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def run(self, *command: str, expect: int = 0, stdin: str | None = None) -> str:
        """Run a command in the repository, check its exit status, and return what it printed."""
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self.environment(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=1000,
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

    def environment(self) -> dict[str, str]:
        """Return the environment of the repository's commands."""
        scripts = Path(sys.executable).parent
        return {
            **os.environ,
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.root),
            "OMP_NUM_THREADS": "1",
            **self.variables,
        }


def create_project(root: Path, *, remote: str, variables: Mapping[str, str] | None = None) -> Project:
    """Fill the empty folder ``root`` with a repository of tiny settings and no data.

    Args:
        root: its top folder.
        remote: address of its DVC remote.
        variables: environment variables of its user.
    """
    for name in COPIED:
        source, target = REPOSITORY / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    (root / ".gitignore").write_text("__pycache__/\n/.dlfd/\n/mlflow.db*\n/mlruns/\n/mlartifacts/\n")
    project = Project(root, variables or {})
    project.set_params(**TINY)
    for command in (
        ("git", "init", "--quiet"),
        ("git", "config", "user.name", "Test"),
        ("git", "config", "user.email", "test@example.org"),
        ("dvc", "init", "--quiet"),
        ("dvc", "remote", "add", "--default", "store", remote),
        ("git", "add", "--all"),
        ("git", "commit", "--quiet", "--message", "Start"),
    ):
        project.run(*command)
    return project


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
        "anchor_batch_size": 8,
    },
    "evaluate": {"attack_splits": 2},
}
