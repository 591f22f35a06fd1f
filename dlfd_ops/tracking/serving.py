"""Which version serves, and the weights of a version for an unlearning to start from."""

from __future__ import annotations

from pathlib import Path

from dlfd_ops.errors import BadInput
from dlfd_ops.tracking.aliases import CHAMPION, read_aliases
from dlfd_ops.tracking.packaging import CHECKPOINT
from dlfd_ops.tracking.registry import RegisteredVersion, read_version
from dlfd_ops.tracking.store import Store


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
    import mlflow.artifacts

    with store.answering(), store.as_default():
        source = store.client.get_model_version_download_uri(model_name, str(version))
        try:
            mlflow.artifacts.download_artifacts(
                artifact_uri=f"{source}/{CHECKPOINT}", dst_path=str(target), tracking_uri=store.uri
            )
        except OSError as error:
            raise _no_checkpoint(model_name, version, type(error).__name__) from error
    if not (target / CHECKPOINT).is_dir():
        raise _no_checkpoint(model_name, version, "none")
    return target / CHECKPOINT


def _no_checkpoint(model_name: str, version: int, received: str) -> BadInput:
    return BadInput(
        f"the artifacts of {model_name} version {version} must hold its checkpoint",
        received=received,
        remedy="restore the artifact store, or promote another version",
    )
