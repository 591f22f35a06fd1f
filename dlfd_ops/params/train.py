"""The section ``train``: the recipe of the original and of the retrained model."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, PositiveFloat, model_validator

from dlfd_ops.params.section import FactoryName, Section


class FactorySection(Section):
    """A model that the code of the repository builds."""

    layer: Annotated[str, Field(min_length=1, max_length=500)]
    """Name of the submodule that the features are taken at, as in ``named_modules()``."""
    side: Literal["input", "output"]
    """Whether the features are what goes into that layer or what comes out of it."""
    arguments: dict[str, JsonValue]
    """Keyword arguments of the factory."""
    mean: tuple[float, float, float]
    """Of each colour channel, for pixel values in [0, 1]: subtracted before the model sees an image."""
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    """Of each colour channel, for pixel values in [0, 1]: divided by before the model sees an image."""
    weights: Annotated[str, Field(min_length=1, max_length=4096)] | None
    """Safetensors file with the original's weights, relative to ``params.yaml``: the original is taken from there. Null
    trains it."""
    origin: Annotated[str, Field(max_length=500)] | None
    """Where these weights come from, for the record: ``models:/NAME/VERSION``, a file of the repository, or name and
    SHA-256 of another file."""


class TrainSection(Section):
    """Training of the original and of the retrained model: the same recipe for both."""

    architecture: Literal["resnet18", "densenet121", "efficientnet_b0"] | FactoryName
    """One of ours, or a factory ``package.module:function`` in a Python file of the repository."""
    factory: FactorySection | None = None
    """What belongs to a factory; stands beside one, and only there."""
    epochs: Annotated[int, Field(ge=1, le=1000)]
    """Passes over the training images."""
    batch_size: Annotated[int, Field(ge=2, le=65536)]
    """Images an optimiser step, over all processes together."""
    learning_rate: Annotated[float, Field(gt=0, le=10)]
    """Largest rate of the SGD; cosine to zero over the run."""
    momentum: Annotated[float, Field(ge=0, lt=1)]
    """Of the SGD."""
    weight_decay: Annotated[float, Field(ge=0, lt=1)]
    """Of the SGD: added to the gradient, times the weight."""
    augmentation: Literal["none", "flip"]
    """``flip``: every image is mirrored at random, left to right."""
    checkpoint_every: Annotated[int, Field(ge=1)]
    """Epochs between two resume checkpoints."""

    @model_validator(mode="after")
    def _factory_beside_its_name(self) -> Self:
        if (":" in self.architecture) != (self.factory is not None):
            raise ValueError("architecture package.module:function and the section factory stand together")
        return self
