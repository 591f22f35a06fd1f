"""The section ``register``: the model's name in the registry, and the limits of its gate."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from dlfd_ops.params.section import Probability, Section


class Policy(Section):
    """Limits of the gate; a null limit switches its rule off. Nothing is converted: ``true`` is no limit of 1."""

    model_config = ConfigDict(strict=True)

    max_accuracy_drop: Probability | None
    """Largest test accuracy lost against the original."""
    max_attack_auc_excess: Annotated[float, Field(ge=0, le=0.5)] | None
    """Largest distance of the attack's AUC above the retrained model's, or above 0.5 where none was trained."""
    max_overshoot: Annotated[float, Field(ge=0, le=0.5)] | None
    """Largest distance of the attack's AUC below the retrained model's, or below 0.5 where none was trained."""
    max_attack_auc_error: Annotated[float, Field(gt=0, le=0.5)] | None
    """Largest standard error of the unlearned model's AUC: fewer people than it takes are too few to judge by. With one
    photo each, 14 people give 0.077 and 35 give 0.049; with ten photos each, half alike to the model, 7 people give
    0.081 and 20 give 0.048."""
    max_calibrated_auc_excess: Annotated[float, Field(ge=0, le=0.5)] | None = None
    """Largest distance of the calibrated attack's AUC above the retrained model's; needs ``evaluate.references``."""
    min_nomus: Probability | None
    """Least NoMUS of the unlearned model."""
    max_sequential_unlearnings: Annotated[int, Field(ge=1, le=1000)] | None
    """Most unlearnings, one upon the other, since the last training; more calls for training a new original."""
    min_evidence: Literal["present", "signed"] | None
    """``present``: the numbers are those of these weights, these data. ``signed``: they will be signed as well."""
    require_complete: bool
    """Whether every open request that the parent does not cover must be on the forget list with all its training
    samples, and all of that list in the evaluation."""


class RegisterSection(Section):
    """Registration in MLflow and the policy that a version must pass."""

    model_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,126}$")]
    """Of the registered model in MLflow."""
    policy: Policy
    """What a version must keep to become the candidate."""
