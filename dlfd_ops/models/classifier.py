"""Face classifiers behind one small interface: images in, features and logits out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torchvision
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Output(NamedTuple):
    """What a classifier returns for a batch of B images.

    Attributes:
        features: (B, D) activations of the penultimate layer.
        logits: (B, C).
    """

    features: Tensor
    logits: Tensor


@dataclass(frozen=True)
class ModelCard:
    """Everything that is needed to build a classifier and to read its outputs.

    Attributes:
        architecture: a key of :data:`ARCHITECTURES`.
        labels: the label columns that it predicts.
        classes: class names of every label.
        image_size: side of the input, in pixels.
        mean: of each colour channel, for pixel values in [0, 1].
        std: of each colour channel, for pixel values in [0, 1].
    """

    architecture: str
    labels: tuple[str, ...]
    classes: dict[str, tuple[str, ...]]
    image_size: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    @property
    def multi_label(self) -> bool:
        """Whether several binary labels are predicted at once (sigmoid) or one label (softmax)."""
        return len(self.labels) > 1

    @property
    def num_outputs(self) -> int:
        """Number of logits: classes of the one label, or one a label."""
        return len(self.labels) if self.multi_label else len(self.classes[self.labels[0]])

    @property
    def output_names(self) -> tuple[str, ...]:
        """A name for every logit."""
        return self.labels if self.multi_label else self.classes[self.labels[0]]


def _resnet18() -> tuple[nn.Module, int]:
    trunk = torchvision.models.resnet18(weights=None)
    trunk.fc = nn.Identity()
    return trunk, 512


def _densenet121() -> tuple[nn.Module, int]:
    trunk = torchvision.models.densenet121(weights=None)
    trunk.classifier = nn.Identity()
    return trunk, 1024


def _efficientnet_b0() -> tuple[nn.Module, int]:
    trunk = torchvision.models.efficientnet_b0(weights=None)
    trunk.classifier = nn.Identity()
    return trunk, 1280


ARCHITECTURES: dict[str, Callable[[], tuple[nn.Module, int]]] = {
    "resnet18": _resnet18,
    "densenet121": _densenet121,
    "efficientnet_b0": _efficientnet_b0,
}
"""The paper's architectures: each returns a trunk and the width of its features."""


class FaceClassifier(nn.Module):
    """A torchvision trunk and the paper's head: 512, 256, 128, outputs, with ReLU and dropout 0.5.

    Images are (B, 3, S, S) floats in [0, 1]; the normalisation is part of the model, so that pixel space has
    the same valid bounds for every user of it.
    """

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        self.card = card
        self.trunk, width = ARCHITECTURES[card.architecture]()
        self.neck = nn.Sequential(
            nn.Linear(width, 256),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(256, 128),
            nn.ReLU(),
            nn.Dropout(0.5),
        )
        self.head = nn.Linear(128, card.num_outputs)
        self.register_buffer("mean", torch.tensor(card.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(card.std).view(1, 3, 1, 1), persistent=False)

    def features(self, images: Tensor) -> Tensor:
        """Return (B, 128) features of the penultimate layer for (B, 3, S, S) images in [0, 1]."""
        normalised = (images - self.get_buffer("mean")) / self.get_buffer("std")
        features: Tensor = self.neck(self.trunk(normalised))
        return features

    def forward(self, images: Tensor) -> Output:
        """Return features and logits for (B, 3, S, S) images in [0, 1]."""
        features = self.features(images)
        return Output(features, self.head(features))


class ServedClassifier(nn.Module):
    """What is registered and served: images in, probabilities out, no code of this package needed.

    Softmax over the classes of a single label, sigmoid for each of several labels.
    """

    def __init__(self, classifier: FaceClassifier) -> None:
        super().__init__()
        self.classifier = classifier
        self.multi_label = classifier.card.multi_label

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, C) probabilities for (B, 3, S, S) images in [0, 1]."""
        logits: Tensor = self.classifier(images).logits
        return logits.sigmoid() if self.multi_label else logits.softmax(dim=1)


def to_unit(images: Tensor) -> Tensor:
    """Return uint8 images as floats in [0, 1]."""
    return images.to(torch.float32).div_(255)
