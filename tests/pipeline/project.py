"""A repository as a user has it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
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
    """

    root: Path

    def run(self, *command: str, expect: int = 0, stdin: str | None = None) -> str:
        """Run a command in the repository, check its exit status, and return what it printed."""
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self.environment(),
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

    def environment(self) -> dict[str, str]:
        """Return the environment of the repository's commands."""
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
