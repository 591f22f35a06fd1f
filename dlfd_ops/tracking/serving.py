"""Which version serves, what MLflow holds of it, and its weights for an unlearning to start from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from dlfd_ops.digest import dir_hash, sha256_file
from dlfd_ops.errors import BadInput
from dlfd_ops.tracking.aliases import CHAMPION, read_aliases
from dlfd_ops.tracking.packaging import CHECKPOINT
from dlfd_ops.tracking.store import Store, artifact_is_missing
from dlfd_ops.tracking.versions import RegisteredVersion, read_version


@dataclass(frozen=True)
class ServedModel:
    """What MLflow holds of a version, and hands to whoever serves it.

    Attributes:
        file: SHA-256 of the exported model that is loaded.
        folder: ``dirHash`` of everything that was registered, what says how to load it included.
    """

    file: str
    folder: str


def read_champion(store: Store, model_name: str) -> RegisteredVersion | None:
    """Return the version that the alias ``champion`` names, or None without the alias or the model.

    Raises:
        BadInput: the store does not answer.
    """
    number = (read_aliases(store, model_name) or {}).get(CHAMPION)
    return None if number is None else read_version(store, model_name, number)


def download_checkpoint(store: Store, model_name: str, version: int, target: Path) -> Path:
    """Bring the checkpoint of a version: the weights as safetensors, and the model's card.

    Args:
        store: the MLflow store.
        model_name: the registered model.
        version: its number.
        target: an empty folder to download into.

    Returns:
        The folder with the checkpoint, inside of ``target``.

    Raises:
        BadInput: the store does not answer, or holds no checkpoint of this version.
    """
    with store.answering(), store.as_default():
        source = store.client.get_model_version_download_uri(model_name, str(version))
        try:
            download_artifacts(artifact_uri=f"{source}/{CHECKPOINT}", dst_path=str(target), tracking_uri=store.uri)
        except OSError as error:
            if not artifact_is_missing(error):
                raise
            raise _no_checkpoint(model_name, version, type(error).__name__) from error
    if not (target / CHECKPOINT).is_dir():
        raise _no_checkpoint(model_name, version, "none")
    return target / CHECKPOINT


def served_model(store: Store, model_name: str, version: int, loaded: str) -> ServedModel | None:
    """Download what MLflow holds of a version and digest it; None where the version or its model file is not there.

    Args:
        store: the MLflow store.
        model_name: the registered model.
        version: its number.
        loaded: path of the exported model inside of what MLflow holds.

    Raises:
        BadInput: the store does not answer.
    """
    with store.answering(), store.as_default(), TemporaryDirectory() as folder:
        try:
            source = store.client.get_model_version_download_uri(model_name, str(version))
            found = Path(download_artifacts(artifact_uri=source, dst_path=folder, tracking_uri=store.uri))
            return ServedModel(sha256_file(found / loaded), dir_hash(found))
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                raise
        except OSError as error:
            if not artifact_is_missing(error):
                raise
            return None  # files are missing: a registry entry without its model
    return None


def _no_checkpoint(model_name: str, version: int, received: str) -> BadInput:
    return BadInput(
        f"the artifacts of {model_name} version {version} must hold its checkpoint",
        received=received,
        remedy="restore the artifact store, or promote another version",
    )
