"""The aliases of a registered model. MLflow has no compare-and-set for them, so whoever moves one looks again."""

from __future__ import annotations

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from dlfd_ops.tracking.store import Store

CANDIDATE = "candidate"
"""The newest version that passed its gate."""
CHAMPION = "champion"
"""The version that serves."""


def read_aliases(store: Store, model_name: str) -> dict[str, int] | None:
    """Return alias -> version, or None when the store has no such registered model.

    Raises:
        BadInput: the store does not answer.
    """
    with store.answering():
        try:
            aliases = store.client.get_registered_model(model_name).aliases
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                raise
            return None
    return {str(alias): int(version) for alias, version in aliases.items()}


def point_champion(store: Store, model_name: str, version: int) -> int | None:
    """Let the alias ``champion`` name ``version``.

    Returns:
        What the alias names when the store is asked again: another version when somebody else moved it meanwhile.

    Raises:
        BadInput: the store does not answer.
    """
    with store.answering():
        store.client.set_registered_model_alias(model_name, CHAMPION, str(version))
    return (read_aliases(store, model_name) or {}).get(CHAMPION)
