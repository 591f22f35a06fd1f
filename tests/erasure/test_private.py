"""What killed runs leave beside the data and the models."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlfd_ops.files import write_text
from dlfd_ops.workflows.erasure.private import half_replaced, private_files
from dlfd_ops.workflows.layout import Layout


@pytest.mark.parametrize("place", ["data/.prepared.x.tmp", "models/.original.x.tmp/old", "models/.parent.x.tmp/old"])
def test_a_folder_that_was_half_replaced_is_found(tmp_path: Path, place: str) -> None:
    """A run killed while it put a record in the place of the original's weights leaves them beside it."""
    left = tmp_path / place / "weights.safetensors"
    write_text(left, "weights")
    assert [path for _, path in private_files(Layout(tmp_path), None)] == [left]
    assert [left.is_relative_to(folder) for folder in half_replaced(Layout(tmp_path))] == [True]
