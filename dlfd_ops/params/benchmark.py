"""The section ``benchmark``: methods side by side."""

from __future__ import annotations

from typing import Annotated, Self, get_args

from pydantic import Field, JsonValue, model_validator

from dlfd_ops.params.section import Name, Section
from dlfd_ops.params.unlearn import UnlearnSection

_METHODS = get_args(UnlearnSection.model_fields["method"].annotation)
YARDSTICKS = ("original", "retrained")
"""Rows of every benchmark: before unlearning, and trained without the forget list."""


class BenchmarkSection(Section):
    """Methods side by side, on the pipeline's data and forget list."""

    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**31)], ...], Field(min_length=1, max_length=20)]
    """One original and one retrained model each: of the initial weights, the batches and the draws of the methods."""
    methods: Annotated[tuple[Name, ...], Field(min_length=1, max_length=64)]
    """Names of the rows, in their order: ``original`` and ``retrained`` as yardsticks, and keys of ``trials``."""
    trials: dict[Name, Annotated[tuple[dict[str, JsonValue], ...], Field(min_length=1, max_length=16)]]
    """The settings that a method may choose from on the validation people: dotted keys of the section ``unlearn`` ->
    values, over the ones that stand there; ``unseen_share`` cuts the people, and is the same for all."""
    shadows: Annotated[int, Field(ge=0, le=64)] = 0
    """Pairs of shadow models for the attack U-LiRA, 0 or at least 2. Each costs two trainings, and two unlearnings a
    method; 0 leaves the attack out."""

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if sorted(self.methods) != sorted([*YARDSTICKS, *self.trials]):
            raise ValueError(
                f"benchmark.methods must list {', '.join(YARDSTICKS)} and every key of benchmark.trials once"
            )
        for name, trials in self.trials.items():
            for trial in trials:
                _check_trial(name, trial)
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds must differ")
        if self.shadows == 1:
            raise ValueError("shadows must be 0 or at least 2: one pair has no spread")
        return self


def _check_trial(row: str, trial: dict[str, JsonValue]) -> None:
    if "unseen_share" in trial:
        raise ValueError("a trial can't set unseen_share: all trials see the same people; set it in unlearn")
    method = trial.get("method")
    if method is None:
        raise ValueError(f"every trial of {row} must say its method: the one in unlearn may be another")
    if row in _METHODS and method != row:
        raise ValueError(f"the row {row} bears the name of a method, and a trial of it says {method}")
