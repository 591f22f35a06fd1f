"""Follow the alias of a registered model: load each version that it names, but only after it was checked.

For a service that answers in its own process. It needs MLflow and torch, and nothing of dlfd-ops; copy it.
"""

from __future__ import annotations

import hashlib
import logging
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

WEIGHTS = "checkpoint/weights.safetensors"
_LOGGER = logging.getLogger(__name__)


class NotTrusted(Exception):
    """A version that must not serve; the message says why."""


class Follower:
    """The model that an alias names, checked before it serves.

    Attributes:
        model: what serves now, with ``predict``; None before the first version was loaded.
        version: its number in the registry.
    """

    def __init__(self, model_name: str, alias: str = "champion") -> None:
        self.model: Any = None
        self.version: str | None = None
        self._model_name, self._alias = model_name, alias
        self._client = MlflowClient()

    def refresh(self) -> bool:
        """Load the alias's version when it is another one; whatever fails, the model that serves goes on serving.

        Returns:
            Whether another version serves now.
        """
        try:
            wanted = self._client.get_model_version_by_alias(self._model_name, self._alias)
            if str(wanted.version) == self.version:
                return False
            model = load_checked(wanted)
        except Exception as error:
            _LOGGER.error("version %s goes on serving: %s: %s", self.version, type(error).__name__, error)
            return False
        self.model, self.version = model, str(wanted.version)
        return True

    def follow(self, seconds: float = 30) -> None:
        """Look at the alias again and again; for a thread of its own."""
        while True:
            self.refresh()
            time.sleep(seconds)


def load_checked(version: ModelVersion) -> Any:
    """Return the version's model, after its gate and its weights were checked.

    Raises:
        NotTrusted: it did not pass the gate, or its weights are not those that it was registered with.
    """
    if version.tags.get("dlfd.gate") != "passed":
        raise NotTrusted(f"version {version.version} did not pass the gate")
    with TemporaryDirectory() as folder:
        path = Path(mlflow.artifacts.download_artifacts(f"models:/{version.name}/{version.version}", dst_path=folder))
        digest = hashlib.sha256((path / WEIGHTS).read_bytes()).hexdigest()
        model = mlflow.pyfunc.load_model(str(path))
    stated = {version.tags.get("dlfd.weights_digest"), model.metadata.metadata["dlfd"]["weights_digest"]}
    if stated != {digest}:
        raise NotTrusted(f"version {version.version} has other weights than it was registered with")
    return model
