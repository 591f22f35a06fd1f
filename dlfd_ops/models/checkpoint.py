"""A model on disk: ``weights.safetensors`` and ``model.json``; never pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from dlfd_ops.digest import sha256_file
from dlfd_ops.errors import BadInput
from dlfd_ops.files import atomic_path, read_bounded, write_text
from dlfd_ops.models.classifier import ARCHITECTURES, Classifier, FaceClassifier, Factory, ModelCard
from dlfd_ops.models.factory import FACTORY, call_factory
from dlfd_ops.models.wrapped import WrappedClassifier

WEIGHTS = "weights.safetensors"
CARD = "model.json"
MAX_CARD_BYTES = 1 << 20


def build_classifier(card: ModelCard) -> Classifier:
    """Return the classifier that ``card`` describes, with fresh weights.

    Raises:
        BadInput: the card's factory fails, or its module lacks the card's layer.
    """
    if card.factory is None:
        return FaceClassifier(card)
    return WrappedClassifier(call_factory(card.architecture, card.factory.arguments), card)


def save_classifier(model: Classifier, folder: Path) -> None:
    """Write ``model`` into ``folder``, each file in one rename."""
    save_weights(model.core.state_dict(), folder / WEIGHTS)
    write_text(folder / CARD, json.dumps(_card_to_json(model.card), indent=2) + "\n")


def load_classifier(folder: Path) -> Classifier:
    """Read a model that :func:`save_classifier` wrote, in evaluation mode, on the CPU.

    Raises:
        BadInput: a file is missing or damaged, or the weights do not fit the architecture.
    """
    model = build_classifier(load_card(folder))
    load_weights(model, folder / WEIGHTS, remedy="restore the folder with dvc checkout, or run its stage")
    return model.eval()


def save_weights(state: Mapping[str, Any], path: Path, *, mode: int = 0o644) -> None:
    """Write a state dict as safetensors, in one rename.

    Args:
        state: tensors by name; several may share memory.
        path: of the file.
        mode: permission bits of the file.

    Raises:
        BadInput: it holds something else than tensors, or the disk is full.
    """
    others = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if others:
        raise BadInput(
            "the weights of a model must be tensors",
            received=f"{type(state[others[0]]).__name__} at {others[0]}",
            remedy="keep what is no tensor out of the module's state dict",
        )
    # Cloned, because safetensors refuses tensors that share memory (tied weights).
    tensors = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in state.items()
    }
    try:
        with atomic_path(path, mode=mode) as temporary:
            save_file(tensors, temporary)
    except SafetensorError as error:  # what it makes of an OSError
        raise BadInput(
            f"{path} must be writable", received=" ".join(str(error).split())[:160], remedy="check the disk"
        ) from error


def load_weights(model: Classifier, path: Path, *, remedy: str) -> None:
    """Load a safetensors file into ``model``; every tensor must fit.

    Raises:
        BadInput: the file is missing or damaged, or its tensors are not those of the model.
    """
    try:
        model.core.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise BadInput(
            f"{path} must hold the weights of {model.card.architecture}",
            received=" ".join(str(error).split())[:160],
            remedy=remedy,
        ) from error


def load_card(folder: Path) -> ModelCard:
    """Read ``model.json``.

    Raises:
        BadInput: the file is missing, or a field is missing, unknown or of a wrong type.
    """
    content = read_bounded(folder / CARD, max_bytes=MAX_CARD_BYTES, what=str(folder / CARD))
    try:
        return _card_from_json(json.loads(content))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadInput(
            f"{folder / CARD} must describe a classifier",
            received=f"{type(error).__name__}: {error}"[:120],
            remedy="restore the folder with dvc checkout, or run its stage",
        ) from error


def weights_digest(folder: Path) -> str:
    """Return the SHA-256 of the weight file in ``folder``."""
    return sha256_file(folder / WEIGHTS)


def _card_to_json(card: ModelCard) -> dict[str, Any]:
    """Return the card's fields; without a factory there is no word of one, as before there were any."""
    value = asdict(card)
    if card.factory is None:
        del value["factory"]
    return value


def _card_from_json(value: dict[str, Any]) -> ModelCard:
    factory = value.pop("factory", None)
    card = ModelCard(
        architecture=value.pop("architecture"),
        labels=tuple(value.pop("labels")),
        classes={label: tuple(names) for label, names in value.pop("classes").items()},
        image_size=int(value.pop("image_size")),
        mean=_channels(value.pop("mean")),
        std=_channels(value.pop("std")),
        factory=None if factory is None else Factory(**factory),
    )
    if value:
        raise ValueError(f"unknown fields {sorted(value)}")
    known = card.architecture in ARCHITECTURES if card.factory is None else FACTORY.fullmatch(card.architecture)
    if not known:
        raise ValueError(f"unknown architecture {card.architecture!r}")
    if not card.labels or any(label not in card.classes for label in card.labels):
        raise ValueError("labels without classes")
    return card


def _channels(values: list[float]) -> tuple[float, float, float]:
    red, green, blue = map(float, values)
    return red, green, blue
