"""Removing the weights of older models from the MLflow store.

The version stays in the registry, with its lineage: an auditor must be able to see that it was there and that it is
gone. What goes is the logged model: its weights, in every form, and its input examples.
"""

from __future__ import annotations

import re
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
from dlfd_ops.tracking.versions import found_versions

ERASED_TAG = "dlfd.erased"
MODELS_FOLDER = "models"
"""Below the root of an experiment's artifacts MLflow keeps a logged model in ``models/<id>/artifacts``."""
_MODEL_URI = re.compile(r"models:/([^/@]+)")
_PLACE = re.compile(rf".*/{MODELS_FOLDER}/([^/]+)/artifacts(?:/.*)?")


@dataclass(frozen=True)
class StoredModel:
    """A logged model, and the version of our registered model that it is.

    Attributes:
        model_id: of the logged model.
        version: number in the registry, the first where several versions are copies of it, or None: its registration
            was interrupted, the version deleted by hand, or it is no model of ours.
        aliases: that name one of these versions.
        tags: of the version; empty without one.
        foreign: whether a version of another registered model stands for it.
    """

    model_id: str
    version: int | None
    aliases: tuple[str, ...]
    tags: dict[str, str]
    foreign: bool


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
        versions = _versions_of_models(store)
        known = {str(model.model_id): model for model in _logged_models(store, str(found.experiment_id))}
        places = {model_id: str(model.artifact_location) for model_id, model in known.items()}
        places |= _places_without_record(store, str(found.artifact_location), known)
        return [
            _stored(store, model_id, model_name, versions.get(model_id, ()))
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
        model = _logged_model(store, _model_id(store, store.client.get_model_version(model_name, str(version))))
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
        for version in found_versions(store, f"name = '{model_name}'"):
            if _model_id(store, version) == model_id:
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


def _versions_of_models(store: Store) -> dict[str, list[ModelVersion]]:
    """Return the versions of all registered models, by the logged model that they stand for."""
    found: dict[str, list[ModelVersion]] = {}
    for version in found_versions(store):
        found.setdefault(_model_id(store, version), []).append(version)
    return found


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


def _model_id(store: Store, version: ModelVersion) -> str:
    """Return the logged model that a version stands for; where there is none, the version's own source."""
    source = str(version.source)
    if version.model_id:
        return str(version.model_id)
    if named := _MODEL_URI.fullmatch(source):
        return named[1]
    # A copy names the version that it was made from, and a source may be a plain place: where the files lie tells.
    place = _PLACE.fullmatch(str(store.client.get_model_version_download_uri(version.name, str(version.version))))
    return place[1] if place else source


def _stored(store: Store, model_id: str, model_name: str, versions: Sequence[ModelVersion]) -> StoredModel:
    numbers = sorted(int(version.version) for version in versions if version.name == model_name)
    # A search leaves the aliases out.
    ours = [store.client.get_model_version(model_name, str(number)) for number in numbers]
    return StoredModel(
        model_id,
        version=numbers[0] if numbers else None,
        aliases=tuple(alias for version in ours for alias in version.aliases),
        tags=dict(ours[0].tags) if ours else {},
        foreign=any(version.name != model_name for version in versions),
    )
