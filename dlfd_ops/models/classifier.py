"""Face classifiers behind one small interface: images in, features and logits out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
import torchvision
from torch import Tensor, nn

Precision = Literal["float32", "bfloat16"]
"""What the trunk of a model computes in."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Output(NamedTuple):
    """What a classifier returns for a batch of B images.

    Attributes:
        features: (B, D) activations of the penultimate layer, or of the layer that the card names.
        logits: (B, C).
    """

    features: Tensor
    logits: Tensor


@dataclass(frozen=True)
class Factory:
    """How a module of somebody else's is built, and where its features are taken.

    Attributes:
        layer: name of the submodule that the features are taken at, as in ``named_modules()``.
        side: whether they are what goes into that layer or what comes out of it.
        arguments: keyword arguments of the factory function; JSON values.
        origin: where the original's weights come from (``models:/NAME/VERSION``, a file); None where it was trained
            here.
    """

    layer: str
    side: Literal["input", "output"] = "output"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    origin: str | None = None


@dataclass(frozen=True)
class ModelCard:
    """Everything that is needed to build a classifier and to read its outputs.

    Attributes:
        architecture: a key of :data:`ARCHITECTURES`, or a factory ``package.module:function`` of the repository.
        labels: the label columns that it predicts.
        classes: class names of every label.
        image_size: side of the input, in pixels.
        mean: of each colour channel, for pixel values in [0, 1].
        std: of each colour channel, for pixel values in [0, 1].
        factory: what belongs to a factory; None for one of :data:`ARCHITECTURES`.
    """

    architecture: str
    labels: tuple[str, ...]
    classes: dict[str, tuple[str, ...]]
    image_size: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    factory: Factory | None = None

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


class Classifier(nn.Module, ABC):
    """What training, unlearning and evaluation know of a model: images in, features and logits out.

    Images are (B, 3, S, S) floats in [0, 1]; the normalisation is part of the model, so that pixel space has
    the same valid bounds for every user of it.

    Attributes:
        precision: that the trunk computes in (see :mod:`dlfd_ops.models.precision`); the weights, and what a pass
            returns, are float32 in any.
    """

    precision: Precision = "float32"

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        self.card = card
        self.register_buffer("mean", torch.tensor(card.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(card.std).view(1, 3, 1, 1), persistent=False)

    @property
    @abstractmethod
    def core(self) -> nn.Module:
        """The module whose state dict is the checkpoint, under the names that its owner knows."""

    @abstractmethod
    def logits(self, images: Tensor) -> Tensor:
        """Return (B, C) logits for (B, 3, S, S) images in [0, 1]."""

    @abstractmethod
    def forward(self, images: Tensor) -> Output:
        """Return features and logits for (B, 3, S, S) images in [0, 1]."""

    def normalise(self, images: Tensor) -> Tensor:
        """Return the images in the units that the card's mean and std stand for."""
        return (images - self.get_buffer("mean")) / self.get_buffer("std")

    def denormalise(self, images: Tensor) -> Tensor:
        """Return images in the units that the model takes: the inverse of :meth:`normalise`."""
        return images * self.get_buffer("std") + self.get_buffer("mean")

    def _computing(self) -> AbstractContextManager[None]:
        """Return the context for the expensive part of a pass."""
        if self.precision == "float32":
            return nullcontext()
        # Around one pass only: what is computed outside of the model (losses, transport) stays float32.
        return torch.autocast(self.get_buffer("mean").device.type, torch.bfloat16)


class FaceClassifier(Classifier):
    """A torchvision trunk and the paper's head: 512, 256, 128, outputs, with ReLU and dropout 0.5.

    The features are the (B, 128) activations of the penultimate layer. Neck and head are float32 in any precision:
    they cost nothing, and logits rounded to eight bits would tie the losses that an attack ranks. The trunk's weights
    lie channels last, which its convolutions follow; on disk the layout leaves no trace.
    """

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        trunk, width = ARCHITECTURES[card.architecture]()
        self.trunk = trunk.to(memory_format=torch.channels_last)
        self.neck = nn.Sequential(
            nn.Linear(width, 256),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(256, 128),
            nn.ReLU(),
            nn.Dropout(0.5),
        )
        self.head = nn.Linear(128, card.num_outputs)

    @property
    def core(self) -> nn.Module:
        """The classifier itself."""
        return self

    def logits(self, images: Tensor) -> Tensor:
        """Return (B, C) logits for (B, 3, S, S) images in [0, 1]."""
        return self(images).logits  # type: ignore[no-any-return]

    def forward(self, images: Tensor) -> Output:
        """Return features and logits for (B, 3, S, S) images in [0, 1]."""
        with self._computing():
            seen = self.trunk(self.normalise(images))
        features = self.neck(seen.float())
        return Output(features, self.head(features))


class ServedClassifier(nn.Module):
    """What is registered and served: images in, probabilities out, no code of this package needed.

    Softmax over the classes of a single label, sigmoid for each of several labels.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier
        self.multi_label = classifier.card.multi_label

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, C) probabilities for (B, 3, S, S) images in [0, 1]."""
        logits = self.classifier.logits(images)
        return logits.sigmoid() if self.multi_label else logits.softmax(dim=1)


def to_unit(images: Tensor) -> Tensor:
    """Return uint8 images as floats in [0, 1]."""
    return images.to(torch.float32).div_(255)
