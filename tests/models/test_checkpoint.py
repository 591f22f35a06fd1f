"""Models on disk: the paper's architectures keep their bytes, and any module keeps the names of its owner."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from dlfd_ops.errors import BadInput
from dlfd_ops.models.checkpoint import CARD, WEIGHTS, build_classifier, load_classifier, save_classifier, weights_digest
from dlfd_ops.models.classifier import FaceClassifier, Factory, ModelCard
from dlfd_ops.models.wrapped import WrappedClassifier

BUILDERS = """
import subprocess
from subprocess import check_output as reexported
from torch import nn

def small(outputs=2):
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, outputs))

def tied():
    model = small()
    model[4].register_parameter('again', model[4].weight)
    return model

def failing():
    raise RuntimeError("no such weights")

def a_number():
    return 3
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a module of factories, in the working directory."""
    (tmp_path / ".dvc").mkdir()
    name = f"faces_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(BUILDERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / name


def card(repository: Path, function: str, layer: str = "4", side: str = "input", **arguments: object) -> ModelCard:
    """Return a card of a factory in the repository."""
    factory = Factory(layer, side, arguments)  # type: ignore[arg-type]
    return ModelCard(f"{repository.name}:{function}", ("gender",), {"gender": ("f", "m")}, 16, factory=factory)


def test_our_architectures_keep_their_bytes(make_classifier: Callable[..., FaceClassifier], tmp_path: Path) -> None:
    """Weights and card of a torchvision classifier are written as before any factory existed."""
    save_classifier(make_classifier(), tmp_path)
    names = load_file(tmp_path / WEIGHTS)
    assert {name.partition(".")[0] for name in names} == {"trunk", "neck", "head"}
    assert list(json.loads((tmp_path / CARD).read_text())) == [
        "architecture",
        "labels",
        "classes",
        "image_size",
        "mean",
        "std",
    ]
    before = weights_digest(tmp_path)
    save_classifier(load_classifier(tmp_path), tmp_path)
    assert weights_digest(tmp_path) == before


@pytest.mark.parametrize("function", ["small", "tied"])
def test_any_module_is_saved_under_its_owners_names(repository: Path, function: str, tmp_path: Path) -> None:
    """The file loads into the bare module without this package, and back into a classifier that answers the same."""
    model = build_classifier(card(repository, function)).eval()
    assert isinstance(model, WrappedClassifier)
    save_classifier(model, tmp_path / "model")
    model.inner.load_state_dict(load_file(tmp_path / "model" / WEIGHTS))
    images = torch.rand(3, 3, 16, 16)
    restored = load_classifier(tmp_path / "model")
    assert restored.card == model.card
    assert torch.equal(restored(images).logits, model(images).logits)
    assert torch.equal(restored(images).features, model(images).features)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("failing", "no such weights"),
        ("a_number", "int"),
        ("missing", "no missing"),
        ("reexported", "subprocess, which lies elsewhere"),
    ],
)
def test_a_factory_that_builds_nothing_is_bad_input(repository: Path, function: str, said: str) -> None:
    """A factory that fails, is missing, returns no module, or is a function of another library: one line each."""
    with pytest.raises(BadInput, match=said) as caught:
        build_classifier(card(repository, function))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["subprocess:check_output", "torchvision.models:resnet18", "nowhere.at.all:build"])
def test_a_card_calls_code_of_the_repository_only(repository: Path, name: str, tmp_path: Path) -> None:
    """A forged card can't run a function of an installed library: it would run any command."""
    marker = tmp_path / "ran"
    factory = Factory("4", arguments={"args": ["touch", str(marker)]})
    with pytest.raises(BadInput):
        build_classifier(ModelCard(name, ("gender",), {"gender": ("f", "m")}, 16, factory=factory))
    assert not marker.exists()


def test_weights_of_another_module_are_bad_input(repository: Path, tmp_path: Path) -> None:
    """Weights that do not fit the factory's module are named in one line."""
    save_classifier(build_classifier(card(repository, "small")), tmp_path)
    (tmp_path / CARD).write_text(
        (tmp_path / CARD).read_text().replace('"arguments": {}', '"arguments": {"outputs": 5}')
    )
    with pytest.raises(BadInput, match="size mismatch"):
        load_classifier(tmp_path)


def test_what_is_no_tensor_is_not_saved(repository: Path, tmp_path: Path) -> None:
    """Extra state of a module would need a pickle, and is refused."""

    class Noted(nn.Linear):
        def get_extra_state(self) -> object:
            return {"note": 1}

        def set_extra_state(self, state: object) -> None: ...

    model = build_classifier(card(repository, "small"))
    assert isinstance(model, WrappedClassifier)
    model.inner.add_module("noted", Noted(2, 2))
    with pytest.raises(BadInput, match="must be tensors"):
        save_classifier(model, tmp_path)
