"""The section ``base``: what every stage shares."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from dlfd_ops.params.section import LabelName, Name, Section


class BaseSection(Section):
    """What every stage shares."""

    dataset: Name
    """Name of the data set: names the MLflow experiment ``dlfd-<dataset>``."""
    labels: Annotated[tuple[LabelName, ...], Field(min_length=1, max_length=32)]
    """Label columns to predict, each once: one is a single-label task (softmax), several are binary labels at once
    (sigmoid)."""
    image_size: Annotated[int, Field(ge=16, le=512)]
    """Side of the square prepared images, in pixels."""
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    """Seed of the split, the initial weights and the order of the batches."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """How training and unlearning compute the trunk of a model; weights, losses, transport and evaluation are float32
    always. ``bfloat16`` is about twice as fast where the device has it, and refused elsewhere."""

    @field_validator("labels")
    @classmethod
    def _each_once(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(labels)) != len(labels):
            raise ValueError("a label must be listed once")
        return labels
