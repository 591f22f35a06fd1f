"""Versions as the registry has them: their tags and aliases, read by number, by condition, or all of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from dlfd_ops.tracking.aliases import read_aliases
from dlfd_ops.tracking.store import Store

KEY_TAG = "dlfd.registration_key"
GATE_TAG = "dlfd.gate"
HEAD_TAG = "dlfd.ledger_head"
"""Head of the ledger when the version was last registered or promoted: a checkpoint outside of the ledger's file."""
CERTIFICATE_TAG = "dlfd.certificate_digest"


@dataclass(frozen=True)
class RegisteredVersion:
    """A version as the registry has it.

    Attributes:
        model_name: the registered model.
        version: its number, from 1.
        run_id: the run that made it.
        tags: its tags.
        description: its Markdown text.
    """

    model_name: str
    version: int
    run_id: str
    tags: Mapping[str, str]
    description: str

    @classmethod
    def of(cls, version: ModelVersion) -> RegisteredVersion:
        """Return what MLflow answered in the words of this package."""
        return cls(
            model_name=str(version.name),
            version=int(version.version),
            run_id=str(version.run_id),
            tags=dict(version.tags),
            description=str(version.description or ""),
        )


def read_version(store: Store, model_name: str, version: int) -> RegisteredVersion | None:
    """Return a version by its number, or None when the store does not have it.

    Raises:
        BadInput: the store does not answer.
    """
    with store.answering():
        try:
            return RegisteredVersion.of(store.client.get_model_version(model_name, str(version)))
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                raise
    return None


def search_versions(store: Store, model_name: str, condition: str = "") -> list[RegisteredVersion]:
    """Return all versions of a model, or those that a condition of MLflow's search language holds for.

    Raises:
        BadInput: the store does not answer.
    """
    wanted = f"name = '{model_name}'" + (f" and {condition}" if condition else "")
    with store.answering():
        return [RegisteredVersion.of(version) for version in found_versions(store, wanted)]


def found_versions(store: Store, wanted: str | None = None) -> Iterator[ModelVersion]:
    """Yield the versions that MLflow's search finds, page by page and without their aliases; of all models without one.

    To be used within ``store.answering()``.
    """
    token: str | None = None
    while True:
        page = store.client.search_model_versions(wanted, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def read_aliases_of_versions(store: Store, model_name: str) -> dict[int, tuple[str, ...]]:
    """Return every version that is in the store, with the aliases that name it; empty without such a model.

    Raises:
        BadInput: the store does not answer.
    """
    aliases = read_aliases(store, model_name)
    if aliases is None:
        return {}
    return {
        version.version: tuple(sorted(alias for alias, number in aliases.items() if number == version.version))
        for version in search_versions(store, model_name)
    }


def record_certificate(store: Store, version: RegisteredVersion, digest: str) -> None:
    """State the digest of a version's certificate on it.

    Raises:
        BadInput: the store does not answer.
    """
    if version.tags.get(CERTIFICATE_TAG) != digest:
        with store.answering():
            store.client.set_model_version_tag(version.model_name, str(version.version), CERTIFICATE_TAG, digest)


def record_head(store: Store, model_name: str, version: int, head: str) -> None:
    """State the ledger's head on a version.

    Raises:
        BadInput: the store does not answer, or the version is not there.
    """
    with store.answering():
        store.client.set_model_version_tag(model_name, str(version), HEAD_TAG, head)
