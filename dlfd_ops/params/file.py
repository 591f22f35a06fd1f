"""The whole of ``params.yaml``, read and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, model_validator

from dlfd_ops.errors import BadInput
from dlfd_ops.files import parse_yaml, read_bounded
from dlfd_ops.params.audit import AuditSection
from dlfd_ops.params.base import BaseSection
from dlfd_ops.params.benchmark import BenchmarkSection
from dlfd_ops.params.erase import EraseSection
from dlfd_ops.params.evaluate import EvaluateSection
from dlfd_ops.params.forget_list import ForgetListSection
from dlfd_ops.params.prepare import PrepareSection
from dlfd_ops.params.register import RegisterSection
from dlfd_ops.params.section import Section
from dlfd_ops.params.train import TrainSection
from dlfd_ops.params.unlearn import UnlearnSection, with_overrides

MAX_PARAMS_BYTES = 1 << 20


class Params(Section):
    """The whole of ``params.yaml``."""

    base: BaseSection
    prepare: PrepareSection
    train: TrainSection
    forget_list: ForgetListSection
    unlearn: UnlearnSection
    evaluate: EvaluateSection
    register_: RegisterSection = Field(alias="register")
    audit: AuditSection
    erase: EraseSection = EraseSection()
    benchmark: BenchmarkSection

    @model_validator(mode="after")
    def _trials_are_settings(self) -> Self:
        for method, trials in self.benchmark.trials.items():
            for trial in trials:
                try:
                    with_overrides(self.unlearn, trial)
                except ValidationError as error:
                    problem = error.errors()[0]
                    where = ".".join(str(part) for part in problem["loc"])
                    raise ValueError(f"benchmark.trials.{method}: unlearn.{where}: {problem['msg']}") from error
        return self


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and validate ``params.yaml``.

    Raises:
        BadInput: the file is missing, is no YAML, or breaks a rule; the first broken rule is named with its key.
    """
    content = read_bounded(path, max_bytes=MAX_PARAMS_BYTES, what=path.name)
    try:
        values = parse_yaml(content)
    except ValueError as error:
        raise BadInput(f"{path.name} must be YAML", received=f"{error!s:.120}", remedy="correct its syntax") from error
    return check_params(values, path.name)


def check_params(values: object, what: str) -> Params:
    """Validate what a ``params.yaml`` holds.

    Args:
        values: the mapping of its sections.
        what: how to name it in an error.

    Raises:
        BadInput: a rule is broken; the first one is named with its key.
    """
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise _first_problem(what, error) from error


def _first_problem(what: str, error: ValidationError) -> BadInput:
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"]) or "the file"
    more = f" ({error.error_count() - 1} more problems)" if error.error_count() > 1 else ""
    return BadInput(
        f"{what}: {key}: {problem['msg']}",
        received=f"{problem['input']!r:.80}",
        remedy=f"correct this key{more}",
    )
