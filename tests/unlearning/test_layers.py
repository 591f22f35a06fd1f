"""The last k layers of any model."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from dlfd_ops.errors import BadInput
from dlfd_ops.models.classifier import FaceClassifier
from dlfd_ops.unlearning.layers import fresh_classifier, split_layers
from tests.unlearning.case import changed, weights


def owned(modules: list[nn.Module]) -> int:
    """Return how many modules hold parameters themselves."""
    return sum(any(True for _ in module.parameters(recurse=False)) for module in modules)


@pytest.mark.parametrize("architecture", ["resnet18", "densenet121", "efficientnet_b0"])
def test_three_layers_are_the_head(architecture: str, make_classifier: Callable[..., FaceClassifier]) -> None:
    """In every architecture of ours the last three layers are the linear ones, the fourth belongs to the trunk."""
    model = make_classifier(architecture=architecture)
    before, last = split_layers(model, 3)
    linear = [module for module in last if isinstance(module, nn.Linear)]
    assert linear == [model.neck[0], model.neck[3], model.head]
    fourth = next(module for module in split_layers(model, 4)[1] if owned([module]))
    assert fourth in list(model.trunk.modules())
    assert before + last == list(model.modules())


def test_any_module_can_be_split() -> None:
    """A module of somebody else, with parameters of its own beside its children."""

    class Prompted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.prompt = nn.Parameter(torch.zeros(3))
            self.body = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))

    model = Prompted()
    assert [owned(split_layers(model, k)[1]) for k in (1, 2, 3)] == [1, 2, 3]
    assert split_layers(model, 1)[1] == [model.body[2]]
    assert split_layers(model, 3)[0] == []
    with pytest.raises(BadInput, match="4 of 3"):
        split_layers(model, 4)


def test_fresh_weights_depend_on_the_seed_alone(make_classifier: Callable[..., FaceClassifier]) -> None:
    """Whatever was drawn before: the same seed gives the same weights, another others, and draws nothing itself."""
    like = make_classifier()
    torch.manual_seed(1)
    first = fresh_classifier(like, seed=7)
    drawn = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), drawn)
    assert not changed(weights(first), fresh_classifier(like, seed=7))
    assert changed(weights(first), fresh_classifier(like, seed=8))
