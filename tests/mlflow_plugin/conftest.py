"""An MLflow that has found the plugin, a store to log to, and a repository under DVC."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest
from dvc.repo import Repo
from mlflow.data.dataset_source_registry import _dataset_source_registry
from mlflow.models.evaluation.evaluator_registry import _model_evaluation_registry

from dlfd_ops.mlflow_plugin.dataset import DvcDatasetSource
from dlfd_ops.mlflow_plugin.evaluator import UnlearningEvaluator


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register what MLflow finds by entry points where the package is installed anew."""
    monkeypatch.setitem(_model_evaluation_registry._registry, "dlfd_unlearning", UnlearningEvaluator)
    others = [source for source in _dataset_source_registry.sources if source._get_source_type() != "dvc"]
    monkeypatch.setattr(_dataset_source_registry, "sources", [*others, DvcDatasetSource])


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Address of a store and the id of an experiment in it."""
    folder = tmp_path_factory.mktemp("store")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = mlflow.MlflowClient(tracking_uri=uri)
    return uri, str(client.create_experiment("plugin", artifact_location=(folder / "artifacts").as_uri()))


@pytest.fixture
def run_id(store: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The active run of a real store."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store[0])
    with mlflow.start_run(experiment_id=store[1]) as run:
        yield run.info.run_id


@pytest.fixture
def git() -> Callable[..., str]:
    """Return a caller of git in a folder, as a test's author."""

    def call(folder: Path, *arguments: str) -> str:
        identity = {"GIT_AUTHOR_NAME": "Test", "GIT_AUTHOR_EMAIL": "test@example.org"}
        identity |= {"GIT_COMMITTER_NAME": "Test", "GIT_COMMITTER_EMAIL": "test@example.org"}
        done = subprocess.run(
            ["git", *arguments], cwd=folder, env=os.environ | identity, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    return call


@pytest.fixture
def repository(tmp_path: Path, git: Callable[..., str]) -> Path:
    """A git and DVC repository with a folder and a file under DVC, committed, with a remote."""
    root = tmp_path / "faces"
    (root / "data/raw/inner").mkdir(parents=True)
    (root / "data/raw/a.txt").write_text("first")
    (root / "data/raw/inner/b.txt").write_text("second")
    (root / "data/labels.csv").write_text("image,label\n")
    (root / "notes.txt").write_text("under git alone")
    git(root, "init", "--quiet")
    with Repo.init(str(root)) as repo:
        with repo.config.edit() as settings:
            settings["remote"] = {"store": {"url": str(tmp_path / "remote")}}
            settings["core"] = {"remote": "store"}
        repo.add([str(root / "data/raw"), str(root / "data/labels.csv")])
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "Data")
    return root
