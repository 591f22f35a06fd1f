"""The model registry: every version registered once, complete from its first moment, with its lineage.

A version is known by its *registration key*. Whatever was interrupted is taken up again by the next run with the same
key: the logged model that an earlier run left is completed, never doubled. The version itself is created last, with
all of its tags and its description in that one call. The key is no secret, so what stands under it is looked into.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode

from dlfd_ops.deletion import requests
from dlfd_ops.digest import sha256_json
from dlfd_ops.errors import CheckFailed
from dlfd_ops.tracking.aliases import CANDIDATE
from dlfd_ops.tracking.likeness import differing_from_store
from dlfd_ops.tracking.logged_models import LoggedModels
from dlfd_ops.tracking.store import Store
from dlfd_ops.tracking.versions import GATE_TAG, KEY_TAG, RegisteredVersion, search_versions

MAX_TAG_LENGTH = 100_000
METRIC_PREFIX = "evaluation/"


@dataclass(frozen=True)
class Entry:
    """What is to be registered.

    Attributes:
        checkpoint: folder with the weights and the model's card.
        run_id: the run that made them.
        tags: all tags of the version but the registration key.
        description: Markdown.
        metrics: numbers of the evaluation, logged to the run and the model as ``evaluation/<name>``.
        key: see :func:`registration_key`.
    """

    checkpoint: Path
    run_id: str
    tags: Mapping[str, str]
    description: str
    metrics: Mapping[str, float]
    key: str


def registration_key(
    model_name: str, *, method: str, weights_digest: str, forget_list_digest: str, requests: str
) -> str:
    """Return the digest that a version is known by: the same inputs never make a second version.

    Args:
        model_name: the registered model.
        method: ``original``, or the method of the unlearning.
        weights_digest: SHA-256 of the weights.
        forget_list_digest: of the samples forgotten, empty for the original.
        requests: the request ids, as :func:`join_ids` writes them: a request that adds no training sample changes
            neither weights nor forget list, but needs a version that answers it.
    """
    return sha256_json([model_name, method, weights_digest, forget_list_digest, requests])


def join_ids(request_ids: tuple[str, ...]) -> str:
    """Return request ids as one tag value: sorted, comma separated.

    A tag holds 100,000 characters, over 5,000 requests; of more it states the number and a digest, and the ledger
    has them one by one.
    """
    return requests.join_ids(request_ids, max_length=MAX_TAG_LENGTH)


class Registry:
    """The versions of one registered model.

    Args:
        store: the MLflow store.
        experiment_id: where the models' artifacts are logged.
        model_name: the registered model.
    """

    def __init__(self, store: Store, experiment_id: str, model_name: str) -> None:
        self._store = store
        self._client = store.client
        self._logged_models = LoggedModels(store.client, experiment_id, model_name)
        self.model_name = model_name

    def find(self, key: str) -> RegisteredVersion | None:
        """Return the version with this registration key, the oldest where two machines raced, or None.

        Raises:
            BadInput: the store does not answer.
        """
        found = search_versions(self._store, self.model_name, f"tags.`{KEY_TAG}` = '{key}'")
        return min(found, key=lambda version: version.version, default=None)

    def register(
        self, entry: Entry, vouched: Callable[[RegisteredVersion], bool] = lambda _: False
    ) -> RegisteredVersion:
        """Return the version of ``entry``, creating it where there is none yet.

        The caller holds the repository's register lock. Another machine may do the same at the same moment: then the
        older version is the one for both, and the younger one is taken back. Tags that stand on an existing version
        are left as they are.

        Args:
            entry: what is to be registered.
            vouched: whether the model of an existing version was looked into before. Of any other one it is done here:
                the registration key is no secret.

        Raises:
            BadInput: the store does not answer, or the checkpoint is damaged.
            CheckFailed: the packaged model does not answer as the model does, or an existing version is another model.
        """
        version = self.find(entry.key)
        if version is None:
            created = self._create(entry)
            version = self._settled(created, entry.key)
            if version.version == created.version:
                return version
        if not vouched(version):
            self._check(version, entry.checkpoint)
        return version

    def _create(self, entry: Entry) -> RegisteredVersion:
        with self._store.answering(), self._store.as_default():
            self._ensure_registered_model()
            model = self._logged_models.complete(entry.key, entry.run_id, entry.checkpoint)
            self._log_metrics(entry, str(model.model_id))
            created = self._client.create_model_version(
                self.model_name,
                source=str(model.model_uri),
                run_id=entry.run_id,
                tags={**entry.tags, KEY_TAG: entry.key},
                description=entry.description,
                model_id=str(model.model_id),
            )
        return RegisteredVersion.of(created)

    def _check(self, version: RegisteredVersion, checkpoint: Path) -> None:
        """Check that a version is the model in ``checkpoint``, file by file."""
        from dlfd_ops.tracking.packaging import package  # loads torch

        with self._store.answering(), self._store.as_default(), TemporaryDirectory() as folder:
            package(checkpoint, packaged := Path(folder) / "model", Model())
            # What is served: a source may name something else by now.
            served = self._client.get_model_version_download_uri(self.model_name, str(version.version))
            differing = differing_from_store(served, packaged)
        if differing:
            raise CheckFailed(
                "a version under the registration key must hold the model that is packaged here",
                received=f"{self.model_name} version {version.version}, which differs: {differing[:3]}"[:200],
                remedy="delete it in MLflow and run again, unless another Python, torch or MLflow of yours made it",
            )

    def record_gate(self, version: RegisteredVersion, gate: str, description: str) -> None:
        """State a decision that differs from the one that the version was registered with, and the text about it.

        Raises:
            BadInput: the store does not answer.
        """
        with self._store.answering():
            if version.tags.get(GATE_TAG) != gate:
                self._client.set_model_version_tag(self.model_name, str(version.version), GATE_TAG, gate)
            if version.description != description:
                self._client.update_model_version(self.model_name, str(version.version), description)

    def point_candidate(self) -> int | None:
        """Set the alias ``candidate`` to the newest version that passed the gate; without one there is no alias.

        Returns:
            The version that the alias names.

        Raises:
            BadInput: the store does not answer.
        """
        # Another machine may register at the same moment: whoever writes last has looked last.
        while (newest := self._newest_passed()) != (current := self._candidate()):
            with self._store.answering():
                if newest is not None:
                    self._client.set_registered_model_alias(self.model_name, CANDIDATE, str(newest))
                elif current is not None:
                    self._client.delete_registered_model_alias(self.model_name, CANDIDATE)
        return newest

    def _newest_passed(self) -> int | None:
        counting: dict[str, int] = {}
        for version in search_versions(self._store, self.model_name, f"tags.`{GATE_TAG}` = 'passed'"):
            # Of two versions with one key the older counts, see `find`.
            key = version.tags.get(KEY_TAG, str(version.version))
            counting[key] = min(version.version, counting.get(key, version.version))
        return max(counting.values(), default=None)

    def _candidate(self) -> int | None:
        with self._store.answering():
            version = self._client.get_registered_model(self.model_name).aliases.get(CANDIDATE)
        return None if version is None else int(version)

    def _settled(self, created: RegisteredVersion, key: str) -> RegisteredVersion:
        """Return the version that counts for ``key`` after ``created`` was made, which goes if it is not the one.

        MLflow has no compare-and-set, but gives a number only after the lower ones are there for all to see. So of
        two machines that created a version at once, the one with the higher number always finds the other's.
        """
        oldest = self.find(key) or created
        if oldest.version != created.version:
            with self._store.answering():
                self._client.delete_model_version(self.model_name, str(created.version))
        return oldest

    def _ensure_registered_model(self) -> None:
        try:
            self._client.create_registered_model(self.model_name)
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
                raise

    def _log_metrics(self, entry: Entry, model_id: str) -> None:
        now = time.time_ns() // 1_000_000
        metrics = [
            Metric(METRIC_PREFIX + name, value, now, 0, model_id=model_id) for name, value in entry.metrics.items()
        ]
        self._client.log_batch(entry.run_id, metrics=metrics, synchronous=True)
