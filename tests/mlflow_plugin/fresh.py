"""An environment in which the wheel was installed, and MLflow finds the entry points itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BUILT_FROM = ("dlfd_ops", "pyproject.toml", "README.md", "LICENSE")


@dataclass(frozen=True)
class Environment:
    """A virtual environment.

    Attributes:
        folder: where it stands.
    """

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def run(self, code: str, *arguments: str, cwd: Path, expect: int = 0, **settings: str) -> str:
        """Run a script in it, check the exit status, and return what it printed."""
        done = subprocess.run(
            [str(self.python), "-c", code, *arguments],
            cwd=cwd,
            env=outside_environment() | settings,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        assert done.returncode == expect, f"{done.stdout}\n{done.stderr}"
        return done.stdout


def outside_environment() -> dict[str, str]:
    """Return the environment variables of somebody who knows nothing of this repository."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def new_environment(folder: Path) -> Environment:
    """Create one that shares the installed libraries with this one, but not this package.

    A path file names the folder of the libraries: what stands there is found, its own path files (an editable
    installation is one) are not followed.
    """
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True, timeout=300)
    paths = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", vars=paths))
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "libraries.pth").write_text("\n".join(sorted(libraries)) + "\n")
    return Environment(folder)


def build_wheel(folder: Path) -> Path:
    """Build the wheel from a copy: another test may be building in the repository itself."""
    source = folder / "source"
    source.mkdir(parents=True)
    for name in BUILT_FROM:
        origin = REPOSITORY / name
        if origin.is_dir():
            shutil.copytree(origin, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(origin, source / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(environment: Environment, wheel: Path) -> None:
    """Install the wheel alone; its requirements are shared."""
    command = [str(environment.python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(command, env=outside_environment(), check=True, capture_output=True, timeout=300)
