"""Calling somebody else's factory: whatever it does instead of building a model is one line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from torch import nn

from dlfd_ops.errors import BadInput
from dlfd_ops.models.factory import call_factory


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository, as the working directory."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_factory_of_the_repository_builds(repository: Path) -> None:
    """With its arguments."""
    (repository / "builds.py").write_text("from torch import nn\n\ndef make(size):\n    return nn.Linear(size, 2)\n")
    module = call_factory("builds:make", {"size": 3})
    assert isinstance(module, nn.Linear)
    assert module.in_features == 3


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("raises", "def make():\n    raise ValueError('two\\nlines')\n", "must build the model.*ValueError"),
        ("leaves", "import sys\n\ndef make():\n    sys.exit(0)\n", "must build the model.*SystemExit"),
        ("leaves_early", "import sys\nsys.exit(0)\n", "must be importable.*SystemExit"),
        ("other", "def make():\n    return 1\n", "must return a torch.nn.Module.*int"),
        ("lacks", "", "must have the factory function"),
    ],
)
def test_what_a_factory_does_instead_is_one_line(repository: Path, name: str, body: str, said: str) -> None:
    """It fails, ends the process, at once or when it is called, returns something else, or is not there."""
    (repository / f"{name}.py").write_text(body)
    with pytest.raises(BadInput, match=said) as caught:
        call_factory(f"{name}:make", {})
    assert "\n" not in str(caught.value)
