"""Accuracy and mean loss."""

from __future__ import annotations

import math

import pytest
import torch

from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.predictions import score
from dlfd_ops.evaluation.utility import accuracy, mean_loss


def test_accuracy_is_the_share_of_right_decisions() -> None:
    """One of four images right is 0.25; of several labels each counts."""
    single = score(torch.eye(4), torch.tensor([0, 0, 0, 0]))
    assert accuracy(single) == 0.25
    several = score(torch.ones(2, 2), torch.tensor([[1.0, 1.0], [1.0, 0.0]]))
    assert accuracy(several) == 0.75


def test_mean_loss_of_equal_logits() -> None:
    """The mean of equal losses is that loss."""
    assert mean_loss(score(torch.zeros(3, 2), torch.tensor([0, 1, 0]))) == pytest.approx(math.log(2))


def test_an_empty_set_has_neither() -> None:
    """No images is a clear error, not a NaN."""
    nothing = score(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(BadInput, match="at least one image"):
        accuracy(nothing)
    with pytest.raises(BadInput, match="at least one image"):
        mean_loss(nothing)
