"""The section ``unlearn``: the method, its batches, and what drives it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from dlfd_ops.params.baselines import (
    L1SparseSection,
    LastLayersSection,
    NegGradPlusSection,
    SalunSection,
    ScrubSection,
    UnsirSection,
)
from dlfd_ops.params.dlfd import DlfdSection
from dlfd_ops.params.section import Section


class ProbeSection(Section):
    """The forgetting probe that drives the dynamic schedule: forget set against validation set."""

    every: Annotated[int, Field(ge=1)]
    """Optimiser steps between two probes."""
    threshold: Annotated[float, Field(ge=-1, le=0.5)]
    """The push to forget runs while the probe's forgetting score is above this. The score is negative where the
    forgotten are surely harder than people never seen: at 0 the push rests there alone, which suits ``anchored``, whose
    target ends it. Methods that push away from something want a small positive one, such as 0.02. At -1 it never rests.
    """
    images: Annotated[int, Field(ge=16)]
    """Largest number of images taken from each of the two sets."""


class UnlearnSection(Section):
    """The unlearning run: about one epoch over the retain set."""

    method: Literal[
        "dlfd",
        "retrain",
        "fine_tune",
        "neg_grad",
        "neg_grad_plus",
        "cf_k",
        "eu_k",
        "unsir",
        "bad_teacher",
        "scrub",
        "salun",
        "l1_sparse",
    ]
    """What each does stands in ``docs/methods.md``."""
    epochs: Annotated[int, Field(ge=1, le=100)]
    """Passes over the retain set."""
    batch_size: Annotated[int, Field(ge=2, le=65536)]
    """Retain images an optimiser step, over all processes together."""
    forget_batch_size: Annotated[int, Field(ge=2, le=65536)]
    """Forget images an optimiser step, over all processes together."""
    anchor_batch_size: Annotated[int, Field(ge=2, le=65536)]
    """Anchor images an optimiser step, over all processes together."""
    unseen_share: Annotated[float, Field(gt=0, lt=1)]
    """Share of the anchor people whom no step sees: they show how the model in the making treats strangers."""
    learning_rate: Annotated[float, Field(gt=0, le=10)]
    """Largest rate of the SGD; cosine to zero over the run."""
    momentum: Annotated[float, Field(ge=0, lt=1)]
    """Of the SGD."""
    weight_decay: Annotated[float, Field(ge=0, lt=1)]
    """Of the SGD: added to the gradient, times the weight."""
    gradient_clip: Annotated[float, Field(gt=0)]
    """Largest norm of the gradient."""
    checkpoint_every: Annotated[int, Field(ge=1)]
    """Optimiser steps between two resume checkpoints."""
    probe: ProbeSection
    dlfd: DlfdSection
    neg_grad_plus: NegGradPlusSection = NegGradPlusSection()
    cf_k: LastLayersSection = LastLayersSection()
    eu_k: LastLayersSection = LastLayersSection()
    unsir: UnsirSection = UnsirSection()
    scrub: ScrubSection = ScrubSection()
    salun: SalunSection = SalunSection()
    l1_sparse: L1SparseSection = L1SparseSection()


def with_overrides(section: UnlearnSection, overrides: Mapping[str, JsonValue]) -> UnlearnSection:
    """Return ``section`` with other values under dotted keys, such as ``dlfd.sinkhorn.epsilon``.

    Raises:
        ValidationError: a key is unknown, or a value breaks its rule.
    """
    values = section.model_dump()
    for key, value in overrides.items():
        *parents, last = key.split(".")
        place = values
        for parent in parents:
            inner = place.get(parent)
            place[parent] = place = inner if isinstance(inner, dict) else {}
        place[last] = value
    return UnlearnSection.model_validate(values)
