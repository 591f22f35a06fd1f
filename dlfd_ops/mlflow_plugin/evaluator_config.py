"""The settings of the evaluator: ``evaluator_config`` of ``mlflow.models.evaluate``, typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dlfd_ops.errors import BadInput
from dlfd_ops.params import EvaluateSection

Column = Annotated[str, Field(min_length=1, max_length=250)]
SetName = Annotated[str, Field(min_length=1, max_length=250)]


class EvaluatorConfig(BaseModel):
    """Which row is whose, and how to read what the model answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    set_column: Column
    """Column of the data that says which set a row belongs to; the model does not see it."""
    forget: SetName = "forget"
    """Its value for samples that the model was trained on and has to forget."""
    unseen: SetName = "unseen"
    """Its value for samples that no model was trained on, of the kind that the forget samples are."""
    retain: SetName = "retain"
    """Its value for samples that the model was trained on and keeps; such rows may be absent."""
    subject_column: Column | None = None
    """Column that says whose sample a row is; the model does not see it. With it come intervals over people, and the
    attack on people instead of samples."""

    classes: Annotated[tuple[str | int | bool, ...], Field(min_length=2, max_length=100_000)] | None = None
    """The label that each column of the probabilities stands for. By default what the model itself says, and without
    that the labels are the columns' numbers, from 0."""
    multi_label: bool = False
    """Whether the columns are binary labels (sigmoid) and a row's target is a list of 0 and 1, one a column. A model of
    this package says so itself."""
    logits: bool = False
    """Whether the model answers logits instead of probabilities."""
    probability_columns: Annotated[tuple[Column, ...], Field(min_length=1, max_length=100_000)] | None = None
    """Columns that hold the probabilities: of the model's answer, or of the data where there is no model. The model
    does not see them. By default all columns of the answer, or the ``predictions`` column of the data with a list in
    each row."""

    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}$")] = "evaluation"
    """Metrics are logged as ``<prefix>/<name>``, figures into the folder ``<prefix>``: the pipeline's names."""
    evaluate: EvaluateSection = EvaluateSection(
        batch_size=256, attack_splits=100, calibration_bins=15, overshoot_alpha=0.05
    )
    """As the section ``evaluate`` of ``params.yaml``; ``batch_size`` is the number of rows a call of the model."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Of the attack's subsampling and splits."""

    @property
    def sets(self) -> dict[str, str]:
        """The value in the set column of each set, by the evaluation's name for it."""
        return {"forget": self.forget, "test": self.unseen, "retain": self.retain}

    @model_validator(mode="after")
    def _three_sets(self) -> Self:
        if len(set(self.sets.values())) < len(self.sets):
            raise ValueError("forget, unseen and retain must be three different values")
        if self.subject_column == self.set_column:
            raise ValueError("set_column and subject_column must be two columns")
        return self


def read_config(fields: Mapping[str, Any]) -> EvaluatorConfig:
    """Check ``evaluator_config``.

    Raises:
        BadInput: a setting is missing, unknown, or out of its range.
    """
    try:
        return EvaluatorConfig.model_validate(fields)
    except ValidationError as error:
        found = error.errors()[0]
        place = ".".join(map(str, found["loc"])) or "the sets"
        raise BadInput(
            "evaluator_config must hold set_column and known settings",
            received=f"{place}: {found['msg']}"[:200],
            remedy="see docs/plugin.md for every setting",
        ) from error
