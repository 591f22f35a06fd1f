"""What may be imported where: the package is light, and its core needs little."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

import dlfd_ops

CORE = ("data", "models", "training", "unlearning", "evaluation")
ABSENT = ("pydantic", "mlflow", "dvc", "click", "rich", "pandas", "pyarrow", "sklearn", "scipy", "matplotlib", "git")


def test_the_package_itself_is_light() -> None:
    """Importing it loads neither torch nor MLflow: MLflow's plugins import it at every start."""
    code = "import sys, dlfd_ops; assert not {'torch', 'mlflow', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_the_core_runs_with_torch_torchvision_and_accelerate_only() -> None:
    """Every module of the core imports where nothing else is installed."""
    package = Path(dlfd_ops.__file__).parent
    names = [f"dlfd_ops.{part}" for part in CORE]
    for part in CORE:
        names += [found.name for found in pkgutil.walk_packages([str(package / part)], f"dlfd_ops.{part}.")]
    modules = [name for name in names if not name.endswith("__main__")]
    assert len(modules) > 30
    code = f"import sys, importlib\nfor name in {ABSENT!r}: sys.modules[name] = None\n"
    code += f"for name in {modules!r}: importlib.import_module(name)\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
