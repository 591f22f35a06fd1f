"""The MLflow store: which one is used, how it is opened safely, how it is named without secrets."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from mlflow import MlflowClient
from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode
from requests import RequestException
from requests.status_codes import codes
from sqlalchemy.exc import SQLAlchemyError

from dlfd_ops.errors import BadInput
from dlfd_ops.files import locked, repository_top

TRACKING_URI = "MLFLOW_TRACKING_URI"
PROGRESS_BAR = "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"
EMBEDDED_DATABASE = "mlflow.db"
EMBEDDED_ARTIFACTS = "mlartifacts"
LOCK_FOLDER = Path(".dlfd")
LOCK_SECONDS = 900
# A server that does not answer is named within half a minute; MLflow's own limits would take minutes.
PROBE_LIMITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


@dataclass(frozen=True)
class Store:
    """An MLflow store that has answered.

    Attributes:
        root: the repository that it is used from.
        uri: tracking URI; may hold credentials, so it is never written anywhere.
        client: MLflow's client on ``uri``.
    """

    root: Path
    uri: str = field(repr=False)
    client: MlflowClient = field(repr=False)

    @property
    def description(self) -> str:
        """The store's name for receipts and the ledger: no credentials, no folder outside of the repository."""
        return describe(self.uri, self.root)

    def experiment_id(self, name: str) -> str:
        """Return the id of experiment ``name``, creating it when missing.

        Raises:
            BadInput: the experiment was deleted, or the store does not answer.
        """
        with self.answering(), self._writing():
            experiment = self.client.get_experiment_by_name(name)
            if experiment is None:
                self._create_experiment(name)
                experiment = self.client.get_experiment_by_name(name)
        if experiment is None or experiment.lifecycle_stage != LifecycleStage.ACTIVE:
            raise BadInput(
                f"MLflow experiment {name} must be active",
                received="a deleted one",
                remedy="find its id with 'mlflow experiments search --view all', then 'mlflow experiments restore'",
            )
        return str(experiment.experiment_id)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock ``.dlfd/<name>.lock`` of the repository, waiting for whoever has it.

        Raises:
            BadInput: another process held it all the time.
        """
        with _locked(self.root / LOCK_FOLDER / f"{name}.lock"):
            yield

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Turn what MLflow raises inside the block into one line that holds no credentials.

        Raises:
            BadInput: the store refused or did not answer.
        """
        try:
            yield
        except MlflowException as error:
            raise _no_answer(self.description, str(error.error_code)) from error
        except RequestException as error:
            # Uploads, downloads and listings of artifacts through the server: MLflow lets these through unwrapped.
            raise _artifact_refused(self.description, error) from error

    @contextmanager
    def as_default(self) -> Iterator[None]:
        """Make this store MLflow's default inside the block, and let it move files quietly.

        Creating a version looks its logged model up in the default store, whatever the client was opened on.
        """
        with _environment({TRACKING_URI: self.uri, PROGRESS_BAR: "false"}):
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        database = sqlite_path(self.uri)
        if database is None:
            yield
        else:
            with _locked(_beside(database)):
                yield

    def _create_experiment(self, name: str) -> None:
        top = repository_top(self.root)
        embedded = sqlite_path(self.uri) == top / EMBEDDED_DATABASE
        location = (top / EMBEDDED_ARTIFACTS).as_uri() if embedded else None
        try:
            self.client.create_experiment(name, artifact_location=location)
        except MlflowException as error:
            # Another machine may be faster on a server that both use.
            if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
                raise


def open_store(root: Path, *, make: bool = True) -> Store:
    """Open the store that ``MLFLOW_TRACKING_URI`` names, or ``mlflow.db`` in the top folder of the repository.

    A fresh SQLite store is initialised under a lock: two processes that do so at once would crash each other.

    Args:
        root: the repository.
        make: whether to make an SQLite store that is not there.

    Raises:
        BadInput: the store cannot be opened or does not answer, or is not there.
    """
    root = root.resolve()
    uri = os.environ.get(TRACKING_URI) or f"sqlite:///{repository_top(root) / EMBEDDED_DATABASE}"
    database = sqlite_path(uri)
    if database is not None and not make and not database.exists():
        raise BadInput(
            f"the MLflow store {describe(uri, root)} must be there",
            received="no such file",
            remedy=f"set {TRACKING_URI} to the store that has the model",
        )
    try:
        if database is None:
            client = _probe(uri)
        else:
            with _locked(_beside(database)):
                client = _probe(uri)
    except (MlflowException, SQLAlchemyError, ImportError, ValueError, OSError) as error:
        # SQLAlchemy's own errors and a missing database driver come through unwrapped while a store is opened.
        raise _no_answer(describe(uri, root), type(error).__name__) from error
    return Store(root, uri, client)


def describe(uri: str, root: Path) -> str:
    """Return ``uri`` without user, password, query, fragment or any folder outside of ``root``."""
    scheme = uri.partition("://")[0]
    local = sqlite_path(uri)
    if local is None and (scheme == "file" or ("://" not in uri and "/" in uri)):
        local = Path(urlsplit(uri).path).resolve()
    if local is not None:
        inside = local.is_relative_to(root.resolve())
        place = str(local.relative_to(root.resolve())) if inside else f".../{local.name}"
        return f"{scheme if '://' in uri else 'file'}:///{place}"
    parts = urlsplit(uri)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def sqlite_path(uri: str) -> Path | None:
    """Return the database file of an SQLite ``uri``, absolute; None for any other store."""
    scheme, separator, path = uri.partition(":///")
    if not separator or scheme.partition("+")[0] != "sqlite":
        return None
    return Path(path.partition("?")[0]).resolve()


def _probe(uri: str) -> MlflowClient:
    """Connect, which creates the tables of a fresh database, and ask for something small."""
    with _environment({name: value for name, value in PROBE_LIMITS.items() if name not in os.environ}):
        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)
        return client


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _beside(database: Path) -> Path:
    # Beside the database and not in the repository: two repositories may share one database.
    return database.with_name(f"{database.name}.lock")


def _locked(path: Path) -> AbstractContextManager[None]:
    return locked(path, seconds=LOCK_SECONDS, rule=f"one process at a time may hold {path.name}")


def artifact_is_missing(error: OSError) -> bool:
    """Whether an error of reading an artifact says that it is not there, and not that the server refused to give it."""
    if not isinstance(error, RequestException):
        return True
    return error.response is not None and error.response.status_code == codes.not_found


def _artifact_refused(description: str, error: RequestException) -> BadInput:
    if error.response is None:
        return _no_answer(description, type(error).__name__)
    status = error.response.status_code
    remedies = {
        codes.unauthorized: f"check {TRACKING_URI} and its credentials",
        codes.forbidden: "ask for an account that may read and write artifacts",
        codes.request_entity_too_large: "let the proxy before the server take larger files; a model is one",
    }
    return BadInput(
        f"the MLflow store {description} must take and give artifacts",
        received=f"HTTP {status} {error.response.reason}",
        remedy=remedies.get(status, f"check {TRACKING_URI}, the server and what stands before it"),
    )


def _no_answer(description: str, received: str) -> BadInput:
    return BadInput(
        f"the MLflow store {description} must answer",
        received=received,
        remedy=f"check {TRACKING_URI}, the server and its credentials",
    )
