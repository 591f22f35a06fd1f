"""The weights of a model that somebody else registered; nothing of it is unpickled."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import mlflow.artifacts
from mlflow.exceptions import MlflowException
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dlfd_ops.errors import BadInput
from dlfd_ops.models.exported import read_exported_weights
from dlfd_ops.tracking.store import Store, open_store

MODEL_URI = re.compile(r"models:/([^/@]{1,250})(?:/(\d{1,9})|@([^/@]{1,250}))")


@dataclass(frozen=True)
class RegisteredWeights:
    """What was found in the registry.

    Attributes:
        uri: ``models:/NAME/VERSION``, whatever alias was asked for: an alias may move.
        state: the weights.
    """

    uri: str
    state: dict[str, Tensor]


def is_model_uri(text: str) -> bool:
    """Whether ``text`` names a registered model and not a file."""
    return text.startswith("models:")


def fetch_weights(uri: str, root: Path) -> RegisteredWeights:
    """Return the weights of a registered version: its safetensors file, or those in its ``torch.export`` archive.

    Args:
        uri: ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``.
        root: the repository, whose store is asked.

    Raises:
        BadInput: the registry has no such version, the store does not answer, or the version is only a pickle.
    """
    match = MODEL_URI.fullmatch(uri)
    if match is None:
        raise BadInput(
            "a registered model must be named models:/NAME@ALIAS or models:/NAME/VERSION",
            received=f"{uri!r:.120}",
            remedy="correct it",
        )
    store = open_store(root, make=False)
    pinned = f"models:/{match[1]}/{_version(store, *match.groups())}"
    with tempfile.TemporaryDirectory() as folder, store.as_default():
        try:
            mlflow.artifacts.download_artifacts(pinned, dst_path=folder)
        except (MlflowException, OSError) as error:
            raise BadInput(
                f"the files of {pinned} must be readable",
                received=type(error).__name__,
                remedy="check the artifact store and its credentials",
            ) from error
        return RegisteredWeights(pinned, _read(Path(folder), pinned))


def _version(store: Store, name: str, version: str | None, alias: str | None) -> int:
    try:
        if version is not None:
            return int(store.client.get_model_version(name, version).version)
        return int(store.client.get_model_version_by_alias(name, str(alias)).version)
    except MlflowException as error:
        raise BadInput(
            f"the store {store.description} must have the registered model",
            received=f"no version {version} of {name}" if version else f"no alias {alias} of {name}",
            remedy="check the name, and MLFLOW_TRACKING_URI",
        ) from error


def _read(folder: Path, uri: str) -> dict[str, Tensor]:
    plain, exported = sorted(folder.rglob("*.safetensors")), sorted(folder.rglob("*.pt2"))
    if len(plain) == 1:
        try:
            return load_file(plain[0])
        except (OSError, SafetensorError) as error:
            raise BadInput(
                f"the weights of {uri} must be a whole safetensors file",
                received=str(error)[:80],
                remedy="register it again",
            ) from error
    if len(exported) == 1 and not plain:
        return read_exported_weights(exported[0])
    raise BadInput(
        f"the weights of {uri} must be readable without unpickling: one safetensors file, or one torch.export archive",
        received=f"{len(plain)} and {len(exported)}, the rest of its files may be a pickle, which can run any code",
        remedy="where you trust it, load it in a script of yours, write "
        "safetensors.torch.save_file(model.state_dict(), FILE), and give that file as --weights",
    )
