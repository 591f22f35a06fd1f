"""Our errors as MLflow's: who calls MLflow's functions expects MLflow's exceptions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def as_mlflow_errors() -> Iterator[None]:
    """Turn this package's errors inside the block into ``INVALID_PARAMETER_VALUE``, with the same line.

    Raises:
        MlflowException: the block raised an error of this package.
    """
    from mlflow.exceptions import MlflowException

    from dlfd_ops.errors import DlfdError

    try:
        yield
    except DlfdError as error:
        raise MlflowException.invalid_parameter_value(str(error)) from error
