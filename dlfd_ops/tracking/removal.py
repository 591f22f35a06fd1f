"""Removing the weights of older models from the MLflow store.

The version stays in the registry, with its lineage: an auditor must be able to see that it was there and that it is
gone. What goes is the logged model: its weights, in every form, and its input examples.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from mlflow.entities import FileInfo, LoggedModel
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.uri import append_to_uri_path

from dlfd_ops.tracking.store import Store, artifact_is_missing

ERASED_TAG = "dlfd.erased"
MODELS_FOLDER = "models"
"""Below the root of an experiment's artifacts MLflow keeps a logged model in ``models/<id>/artifacts``."""
_PREFIX = "models:/"


@dataclass(frozen=True)
class StoredModel:
    """A logged model, and the version that it is.

    Attributes:
        model_id: of the logged model.
        version: number in the registry, or None: its registration was interrupted, or the version deleted by hand.
        aliases: that name the version.
        tags: of the version; empty without one.
    """

    model_id: str
    version: int | None
    aliases: tuple[str, ...]
    tags: dict[str, str]


def stored_models(store: Store, experiment: str, model_name: str) -> list[StoredModel]:
    """Return every logged model of an experiment that still has artifacts, sorted by id.

    Deleting a logged model by hand takes its record away and leaves the files until somebody runs ``mlflow gc``: such
    a model is found by its folder.

    Raises:
        BadInput: the store does not answer.
    """
    with store.answering():
        found = store.client.get_experiment_by_name(experiment)
        if found is None:
            return []
        versions = {_model_id(version): version for version in _versions(store, model_name)}
        known = {str(model.model_id): model for model in _logged_models(store, str(found.experiment_id))}
        places = {model_id: str(model.artifact_location) for model_id, model in known.items()}
        places |= _places_without_record(store, str(found.artifact_location), known)
        return [
            _stored(model_id, versions.get(model_id))
            for model_id, place in sorted(places.items())
            if _has_files(_repository(store, place))
        ]


def has_artifacts(store: Store, model_name: str, version: int) -> bool:
    """Return whether MLflow still holds files of a version, be it that the logged model's record is gone.

    Raises:
        BadInput: the store does not answer, or there is no such version.
    """
    with store.answering():
        place = store.client.get_model_version_download_uri(model_name, str(version))
        model = _logged_model(store, _model_id(store.client.get_model_version(model_name, str(version))))
        return _has_files(_repository(store, place if model is None else str(model.artifact_location)))


def remove_model(store: Store, experiment: str, model_name: str, model_id: str, note: str) -> None:
    """Remove a logged model and its files, and say so on its version; can be repeated.

    Args:
        store: where it lies.
        experiment: name of the experiment that it was logged in.
        model_name: the registered model.
        model_id: of the logged model.
        note: value of the version's tag ``dlfd.erased``.

    Raises:
        BadInput: the store does not answer.
    """
    with store.answering():
        for version in _versions(store, model_name):
            if _model_id(version) == model_id:
                store.client.set_model_version_tag(model_name, str(version.version), ERASED_TAG, note)
        model = _logged_model(store, model_id)
        if model is not None:
            _delete_files(store, str(model.artifact_location))
            store.client.delete_logged_model(model_id)
        elif (found := store.client.get_experiment_by_name(experiment)) is not None:
            place = _places_without_record(store, str(found.artifact_location), ()).get(model_id)
            if place is not None:
                _delete_files(store, place)


def _places_without_record(store: Store, root: str, known: Collection[str]) -> dict[str, str]:
    """Return where the models lie that have files below an experiment's root and no record in any experiment."""
    folders = _listed(_repository(store, root), MODELS_FOLDER)
    names = {PurePosixPath(folder.path).name for folder in folders if folder.is_dir} - set(known)
    gone = [name for name in sorted(names) if _logged_model(store, name) is None]
    return {name: _below(root, MODELS_FOLDER, name, "artifacts") for name in gone}


def _logged_model(store: Store, model_id: str) -> LoggedModel | None:
    try:
        return store.client.get_logged_model(model_id)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        return None


def _versions(store: Store, model_name: str) -> Iterable[ModelVersion]:
    token: str | None = None
    while True:
        page = store.client.search_model_versions(f"name = '{model_name}'", page_token=token)
        yield from (store.client.get_model_version(model_name, str(version.version)) for version in page)
        token = page.token
        if not token:
            return


def _logged_models(store: Store, experiment_id: str) -> Iterable[LoggedModel]:
    token: str | None = None
    while True:
        page = store.client.search_logged_models([experiment_id], page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _repository(store: Store, place: str) -> ArtifactRepository:
    return get_artifact_repository(place, tracking_uri=store.uri)


def _delete_files(store: Store, place: str) -> None:
    _repository(store, place).delete_artifacts()  # type: ignore[no-untyped-call]


def _below(root: str, *parts: str) -> str:
    return str(append_to_uri_path(root, *parts))  # type: ignore[no-untyped-call]


def _has_files(repository: ArtifactRepository) -> bool:
    return bool(_listed(repository))


def _listed(repository: ArtifactRepository, path: str | None = None) -> Sequence[FileInfo]:
    try:
        found: Sequence[FileInfo] = repository.list_artifacts(path)
        return found
    except OSError as error:
        if not artifact_is_missing(error):
            raise
        return ()


def _model_id(version: ModelVersion) -> str:
    # A copied version has no model id of its own: its source names the model.
    return str(version.model_id or str(version.source).removeprefix(_PREFIX))


def _stored(model_id: str, version: ModelVersion | None) -> StoredModel:
    if version is None:
        return StoredModel(model_id, None, (), {})
    return StoredModel(model_id, int(version.version), tuple(version.aliases), dict(version.tags))
