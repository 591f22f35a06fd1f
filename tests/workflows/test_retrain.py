"""The retrain stage."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlfd_ops.errors import BadInput
from dlfd_ops.files import write_text
from dlfd_ops.params import load_params
from dlfd_ops.workflows.retrain import retrain


def test_a_yardstick_of_another_recipe_is_refused(tmp_path: Path) -> None:
    """Once train is frozen its section may change without a new original: what it says now is no recipe of that one."""
    write_text(tmp_path / "metrics/train.json", '{"seconds": 1.0, "recipe": "of other parameters"}\n')
    with pytest.raises(BadInput, match="must be trained as the original was"):
        retrain(load_params(), tmp_path)
