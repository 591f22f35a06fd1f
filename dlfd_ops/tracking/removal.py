"""Removing the weights of older models from the MLflow store.

The version stays in the registry, with its lineage: an auditor must be able to see that it was there and that it is
gone. What goes is the logged model: its weights, in every form, and its input examples.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mlflow.entities import LoggedModel
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from dlfd_ops.tracking.store import Store

ERASED_TAG = "dlfd.erased"
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

    Raises:
        BadInput: the store does not answer.
    """
    with store.answering():
        found = store.client.get_experiment_by_name(experiment)
        if found is None:
            return []
        versions = {_model_id(version): version for version in _versions(store, model_name)}
        models = list(_logged_models(store, str(found.experiment_id)))
        return [
            _stored(str(model.model_id), versions.get(str(model.model_id)))
            for model in sorted(models, key=lambda model: str(model.model_id))
            if _repository(store, model).list_artifacts()
        ]


def has_artifacts(store: Store, model_name: str, version: int) -> bool:
    """Return whether MLflow still holds files of a version.

    Raises:
        BadInput: the store does not answer, or there is no such version.
    """
    with store.answering():
        model_id = _model_id(store.client.get_model_version(model_name, str(version)))
        try:
            model = store.client.get_logged_model(model_id)
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                raise
            return False
        return bool(_repository(store, model).list_artifacts())


def remove_model(store: Store, model_name: str, model_id: str, note: str) -> None:
    """Remove a logged model and its files, and say so on its version; can be repeated.

    Args:
        store: where it lies.
        model_name: the registered model.
        model_id: of the logged model.
        note: value of the version's tag ``dlfd.erased``.

    Raises:
        BadInput: the store does not answer.
    """
    with store.answering():
        try:
            model = store.client.get_logged_model(model_id)
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                raise
            return
        for version in _versions(store, model_name):
            if _model_id(version) == model_id:
                store.client.set_model_version_tag(model_name, str(version.version), ERASED_TAG, note)
        _repository(store, model).delete_artifacts()
        store.client.delete_logged_model(model_id)


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


def _repository(store: Store, model: LoggedModel):  # type: ignore[no-untyped-def]
    return get_artifact_repository(str(model.artifact_location), tracking_uri=store.uri)


def _model_id(version: ModelVersion) -> str:
    # A copied version has no model id of its own: its source names the model.
    return str(version.model_id or str(version.source).removeprefix(_PREFIX))


def _stored(model_id: str, version: ModelVersion | None) -> StoredModel:
    if version is None:
        return StoredModel(model_id, None, (), {})
    return StoredModel(model_id, int(version.version), tuple(version.aliases), dict(version.tags))
