"""Any module behind the classifier's interface."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from dlfd_ops.errors import BadInput
from dlfd_ops.models.classifier import Factory, ModelCard
from dlfd_ops.models.wrapped import WrappedClassifier, check_classifier, default_layer

SIZE = 16


class Net(nn.Module):
    """A network whose forward returns what the test asks for."""

    def __init__(self, outputs: int = 2) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, stride=2)
        self.norm = nn.BatchNorm2d(6)
        self.unused = nn.Identity()
        self.tokens = nn.Identity()
        self.pair = Pair()
        self.hidden = nn.Linear(6, 5)
        self.fc = nn.Linear(5, outputs)
        self.wrap: Any = lambda logits: logits

    def forward(self, images: Tensor) -> Any:
        """Return the logits, wrapped."""
        maps = self.norm(self.conv(images)).relu()
        tokens = self.tokens(maps.flatten(2).transpose(1, 2))
        self.pair(tokens)
        return self.wrap(self.fc(self.hidden(tokens.mean(dim=1)).relu()))


class Pair(nn.Module):
    """A layer that gives two things."""

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return them twice."""
        return values, values


def wrapped(layer: str = "fc", side: Literal["input", "output"] = "input", net: Net | None = None) -> WrappedClassifier:
    """Return a net with two outputs as a classifier."""
    torch.manual_seed(0)
    card = ModelCard(
        "faces:net", ("gender",), {"gender": ("f", "m")}, SIZE, (0.5, 0.4, 0.3), (0.2, 0.2, 0.1), Factory(layer, side)
    )
    return WrappedClassifier(net or Net(), card).eval()


@given(
    st.sampled_from([("conv", "output", 6), ("tokens", "input", 6), ("hidden", "output", 5), ("fc", "input", 5)]),
    st.integers(1, 4),
)
def test_features_are_one_row_an_image(place: tuple[str, Literal["input", "output"], int], batch: int) -> None:
    """Maps, token sequences and vectors all become (B, D), and the logits are those of the bare module."""
    layer, side, width = place
    model = wrapped(layer, side)
    images = torch.rand(batch, 3, SIZE, SIZE)
    output = model(images)
    assert output.features.shape == (batch, width)
    mean, std = torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1), torch.tensor([0.2, 0.2, 0.1]).view(3, 1, 1)
    assert torch.allclose(output.logits, model.inner((images - mean) / std))
    assert torch.equal(output.logits, model.logits(images))


def test_gradients_flow_through_features_to_weights_and_images() -> None:
    """What the distancing needs: a gradient of the features alone, in the images and in the layers before."""
    model = wrapped()
    images = torch.rand(2, 3, SIZE, SIZE, requires_grad=True)
    model(images).features.sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
    assert model.inner.get_submodule("conv").get_parameter("weight").grad is not None
    assert model.inner.get_submodule("fc").get_parameter("weight").grad is None


def test_no_hook_stays_and_a_copy_is_its_own() -> None:
    """A pass leaves the module as it was, also a failing one; a deep copy records its own layer."""
    model = wrapped()
    model(torch.rand(2, 3, SIZE, SIZE))
    with pytest.raises(RuntimeError):
        model(torch.rand(2, 5, SIZE, SIZE))
    assert not any(module._forward_hooks for module in model.modules())
    other = copy.deepcopy(model)
    other.inner.get_submodule("hidden").get_parameter("weight").data.zero_()
    other.inner.get_submodule("hidden").get_parameter("bias").data.zero_()
    images = torch.rand(2, 3, SIZE, SIZE)
    assert other(images).features.abs().sum() == 0
    assert model(images).features.abs().sum() > 0


@pytest.mark.parametrize("wrap", [lambda logits: {"logits": logits}, lambda logits: SimpleNamespace(logits=logits)])
def test_logits_in_a_mapping_or_an_object_are_found(wrap: Any) -> None:
    """The outputs of transformers and of torchvision's GoogLeNet hold ``logits`` beside other things."""
    net = Net()
    net.wrap = wrap
    check_classifier(wrapped(net=net))


@pytest.mark.parametrize(
    ("wrap", "said"),
    [
        (lambda logits: (logits, logits), "a tuple"),
        (lambda logits: {"scores": logits}, "a dict"),
        (lambda logits: logits[:, :1], r"shape \(2, 1\)"),
        (lambda logits: logits[0], r"shape \(2\)"),
        (lambda logits: logits * float("nan"), "NaN"),
    ],
)
def test_other_outputs_are_refused(wrap: Any, said: str) -> None:
    """A tuple, a foreign mapping, a wrong number of outputs and NaN are named in one line."""
    net = Net()
    net.wrap = wrap
    with pytest.raises(BadInput, match=said):
        check_classifier(wrapped(net=net))


@pytest.mark.parametrize(
    ("layer", "side", "said"),
    [
        ("head", "output", "the last ones are .*hidden, fc"),
        ("", "output", "must name a layer"),
        ("unused", "output", "ran 0 times"),
        ("pair", "output", "a tuple at pair"),
    ],
)
def test_a_layer_without_features_is_refused(layer: str, side: Literal["input", "output"], said: str) -> None:
    """An unknown layer, one that does not run, and one that gives no tensor are named in one line."""
    with pytest.raises(BadInput, match=said):
        check_classifier(wrapped(layer, side))


def test_a_model_for_other_images_is_refused_and_keeps_its_modes() -> None:
    """A model that fails on images of its card's size says so, and no module changes its mode."""
    model = WrappedClassifier(
        nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2)),
        ModelCard("faces:net", ("g",), {"g": ("f", "m")}, SIZE, factory=Factory("1", "input")),
    )
    model.inner.get_submodule("0").eval()
    with pytest.raises(BadInput, match=r"\(B, 3, 16, 16\) images"):
        check_classifier(model)
    assert [module.training for module in model.inner.children()] == [False, True]


def test_the_penultimate_layer_is_found() -> None:
    """The last linear layer with as many outputs as classes; none where there is none."""
    assert default_layer(Net(7), 7) == "fc"
    assert default_layer(Net(7), 4) is None
