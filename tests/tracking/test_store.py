"""The MLflow store."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dlfd_ops.errors import BadInput
from dlfd_ops.tracking.store import describe, open_store, sqlite_path

OPEN = """
import sys
from pathlib import Path
from dlfd_ops.tracking.store import open_store
print(open_store(Path(sys.argv[1])).experiment_id("dlfd-tiny"))
"""


@pytest.mark.slow
def test_two_processes_open_a_fresh_store_at_once(tmp_path: Path) -> None:
    """Both processes get the same experiment of a store that neither of them found."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    try:
        outputs = [process.communicate() for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]


def test_embedded_store_keeps_its_artifacts_in_the_repository(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store lies in the repository, also when it is opened from another folder."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    store = open_store(repository)
    experiment = store.client.get_experiment(store.experiment_id("dlfd-tiny"))
    assert experiment.artifact_location == (repository / "mlartifacts").as_uri()
    assert store.description == "sqlite:///mlflow.db"


def test_experiment_is_created_once(repository: Path) -> None:
    """Asking for the same experiment again returns the same id."""
    store = open_store(repository)
    assert store.experiment_id("dlfd-tiny") == store.experiment_id("dlfd-tiny")


def test_deleted_experiment_is_named(repository: Path) -> None:
    """An experiment in MLflow's trash is an error with a remedy, not a crash."""
    store = open_store(repository)
    store.client.delete_experiment(store.experiment_id("dlfd-tiny"))
    with pytest.raises(BadInput, match="dlfd-tiny must be active"):
        store.experiment_id("dlfd-tiny")


def test_unreachable_server_is_one_line_without_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer is named within seconds, its password is not."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://someone:hunter2@127.0.0.1:{port}")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    before = time.monotonic()
    with pytest.raises(BadInput) as raised:
        open_store(tmp_path)
    assert time.monotonic() - before < 40
    assert f"http://127.0.0.1:{port} must answer" in str(raised.value)
    assert "hunter2" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_damaged_database_is_one_line(tmp_path: Path) -> None:
    """A file that is no database is bad input."""
    (tmp_path / "mlflow.db").write_text("no database, but long enough to look like a header of one" * 20)
    with pytest.raises(BadInput, match=r"sqlite:///mlflow\.db must answer"):
        open_store(tmp_path)


def test_unknown_scheme_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tracking URI that MLflow does not know is bad input."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "gopher://store")
    with pytest.raises(BadInput, match="gopher://store must answer"):
        open_store(tmp_path)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sqlite:///{root}/mlflow.db", "sqlite:///mlflow.db"),
        ("sqlite:////home/someone/private/store.db", "sqlite:///.../store.db"),
        ("postgresql://user:pass@db.example:5432/mlflow?sslkey=secret", "postgresql://db.example:5432/mlflow"),
        ("https://token@mlflow.example/path?key=secret#part", "https://mlflow.example/path"),
        ("databricks", "databricks"),
        ("databricks://profile", "databricks://profile"),
        ("file:///home/someone/mlruns", "file:///.../mlruns"),
        ("/home/someone/mlruns", "file:///.../mlruns"),
        ("{root}/mlruns", "file:///mlruns"),
    ],
)
def test_description_holds_neither_secret_nor_outside_folder(uri: str, expected: str, tmp_path: Path) -> None:
    """What is written into git names the store and nothing private."""
    assert describe(uri.format(root=tmp_path), tmp_path) == expected


def test_only_sqlite_uris_name_a_database() -> None:
    """The lock is taken beside an SQLite file and nowhere else."""
    assert sqlite_path("sqlite:////data/mlflow.db?timeout=5") == Path("/data/mlflow.db")
    assert sqlite_path("sqlite+pysqlite:////data/mlflow.db") == Path("/data/mlflow.db")
    assert sqlite_path("http://localhost:5000") is None
    assert sqlite_path("postgresql:///mlflow") is None


def test_store_shows_no_credentials_when_printed(repository: Path) -> None:
    """The representation of a store leaves its URI out."""
    assert "sqlite" not in repr(open_store(repository))
