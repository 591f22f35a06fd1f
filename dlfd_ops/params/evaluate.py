"""The section ``evaluate``: what is measured."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dlfd_ops.params.section import Section


class RelearnSection(Section):
    """Plain training on the forget set, to see how fast it comes back."""

    accuracy: Annotated[float, Field(gt=0, le=1)]
    """Accuracy on the forget set at which it counts as known again: about the original's on its training images."""
    max_steps: Annotated[int, Field(ge=1, le=100_000)]
    """Optimiser steps after which it counts as not come back."""
    batch_size: Annotated[int, Field(ge=2, le=65536)]
    """Forget images an optimiser step."""
    learning_rate: Annotated[float, Field(gt=0, le=10)]
    """Of the SGD; constant."""


class EvaluateSection(Section):
    """Utility, forgetting and calibration of the models."""

    batch_size: Annotated[int, Field(ge=1, le=65536)]
    """Images a forward pass; changes no number."""
    attack_splits: Annotated[int, Field(ge=2, le=100)]
    """Random splits of the membership attack; with few its accuracy depends on the draw."""
    calibration_bins: Annotated[int, Field(ge=2, le=100)]
    """Equally wide bins of confidence that the calibration error is taken over."""
    overshoot_alpha: Annotated[float, Field(gt=0, lt=0.5)]
    """Significance of the one-sided test that forget losses lie above unseen losses."""
    references: Annotated[int, Field(ge=0, le=4)] = 0
    """Models that the stage ``retrain`` trains beside the retrained one, with other seeds, for the attacks on single
    photos (RMIA, calibrated loss). Each costs a retraining."""
    relearn: RelearnSection | None = None
    """Null: relearn time is not measured."""
