"""What killed runs leave beside the data and the models."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dlfd_ops.files import write_text
from dlfd_ops.workflows.erasure.private import half_replaced, private_files
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.refusals import BAD_IMAGES_FILE
from dlfd_ops.workflows.suppressing import NEAR_FILE

# Is killed between the writing of the private list argv[1] and its rename.
WRITE = """
import os, sys
from pathlib import Path
from dlfd_ops.files import write_text
Path.replace = lambda *_: os._exit(9)
write_text(Path(sys.argv[1]), "row,reason,path", mode=0o600)
"""


@pytest.mark.parametrize("place", ["data/.prepared.x.tmp", "models/.original.x.tmp/old", "models/.parent.x.tmp/old"])
def test_a_folder_that_was_half_replaced_is_found(tmp_path: Path, place: str) -> None:
    """A run killed while it put a record in the place of the original's weights leaves them beside it."""
    left = tmp_path / place / "weights.safetensors"
    write_text(left, "weights")
    assert [path for _, path in private_files(Layout(tmp_path), None)] == [left]
    assert [left.is_relative_to(folder) for folder in half_replaced(Layout(tmp_path))] == [True]


def test_the_pointer_beside_a_folder_is_none_of_its_leftovers(tmp_path: Path) -> None:
    """A run killed while it wrote ``models/parent.dvc`` leaves a file whose name begins like the folder's."""
    write_text(tmp_path / "models/.parent.dvc.x.tmp", "outs: []")
    assert half_replaced(Layout(tmp_path)) == []


@pytest.mark.parametrize("name", [BAD_IMAGES_FILE, NEAR_FILE])
def test_a_private_list_that_was_half_written_is_found(tmp_path: Path, name: Path) -> None:
    """It names raw files, as the list of an earlier run beside it does."""
    write_text(tmp_path / name, "of an earlier run", mode=0o600)
    killed = subprocess.run([sys.executable, "-c", WRITE, str(tmp_path / name)], check=False)
    assert killed.returncode == 9
    found = {path.read_text() for kind, path in private_files(Layout(tmp_path), None) if kind == "temporary file"}
    assert found == {"of an earlier run", "row,reason,path"}
