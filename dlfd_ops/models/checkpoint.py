"""A model on disk: ``weights.safetensors`` and ``model.json``; never pickle."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from dlfd_ops.digest import sha256_file
from dlfd_ops.errors import BadInput
from dlfd_ops.files import atomic_path, read_bounded, write_text
from dlfd_ops.models.classifier import ARCHITECTURES, FaceClassifier, ModelCard

WEIGHTS = "weights.safetensors"
CARD = "model.json"
MAX_CARD_BYTES = 1 << 20


def save_classifier(model: FaceClassifier, folder: Path) -> None:
    """Write ``model`` into ``folder``, each file in one rename."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with atomic_path(folder / WEIGHTS) as temporary:
        save_file(tensors, temporary)
    write_text(folder / CARD, json.dumps(asdict(model.card), indent=2) + "\n")


def load_classifier(folder: Path) -> FaceClassifier:
    """Read a model that :func:`save_classifier` wrote, in evaluation mode, on the CPU.

    Raises:
        BadInput: a file is missing or damaged, or the weights do not fit the architecture.
    """
    model = FaceClassifier(load_card(folder))
    try:
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise BadInput(
            f"{folder / WEIGHTS} must hold the weights that {CARD} describes",
            received=str(error).splitlines()[0][:120],
            remedy="restore the folder with dvc checkout, or run its stage",
        ) from error
    return model.eval()


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


def _card_from_json(value: dict[str, Any]) -> ModelCard:
    card = ModelCard(
        architecture=value.pop("architecture"),
        labels=tuple(value.pop("labels")),
        classes={label: tuple(names) for label, names in value.pop("classes").items()},
        image_size=int(value.pop("image_size")),
        mean=_channels(value.pop("mean")),
        std=_channels(value.pop("std")),
    )
    if value:
        raise ValueError(f"unknown fields {sorted(value)}")
    if card.architecture not in ARCHITECTURES:
        raise ValueError(f"unknown architecture {card.architecture!r}")
    if not card.labels or any(label not in card.classes for label in card.labels):
        raise ValueError("labels without classes")
    return card


def _channels(values: list[float]) -> tuple[float, float, float]:
    red, green, blue = map(float, values)
    return red, green, blue
