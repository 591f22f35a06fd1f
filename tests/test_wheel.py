"""The wheel builds, holds what it needs, and works elsewhere."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dlfd_ops import __version__

REPOSITORY = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_installs_elsewhere(tmp_path: Path) -> None:
    """Built from the repository and installed into an empty folder, the command answers with its version."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(REPOSITORY)]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "dlfd_ops/audit/templates/report.html.j2" in names
    assert "dlfd_ops/py.typed" in names
    assert not [name for name in names if name.startswith(("tests", "examples", "pipelines"))]
    elsewhere = tmp_path / "elsewhere"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(elsewhere), str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=300)
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from dlfd_ops.cli import main; main()"
    asked = subprocess.run(
        [sys.executable, "-P", "-c", code, str(elsewhere), "--version"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert __version__ in asked.stdout
