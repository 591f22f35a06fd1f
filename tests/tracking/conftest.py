"""A real MLflow store for each test, and tiny models to put into it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from dlfd_ops.data.manifest import Manifest, ManifestInfo
from dlfd_ops.models.checkpoint import save_classifier
from dlfd_ops.models.classifier import FaceClassifier, ModelCard
from dlfd_ops.tracking.store import open_store

SIZE = 32


@pytest.fixture(autouse=True)
def _embedded_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches a store outside of its own folder."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def initialised_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables: creating them takes seconds, so it is done once and copied."""
    root = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        open_store(root)
    return root / "mlflow.db"


@pytest.fixture
def repository(tmp_path: Path, initialised_database: Path) -> Path:
    """A folder with a fresh, initialised store."""
    shutil.copyfile(initialised_database, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved ResNet-18 of 32 px with two classes."""
    folder = tmp_path_factory.mktemp("checkpoint") / "original"
    torch.manual_seed(0)
    save_classifier(FaceClassifier(ModelCard("resnet18", ("gender",), {"gender": ("female", "male")}, SIZE)), folder)
    return folder


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Four samples, one a split."""
    splits = ["train", "anchor", "validation", "test"]
    rows = pd.DataFrame(
        {
            "sample_id": [f"{row:064x}" for row in range(4)],
            "path": [f"images/00/{row:064x}.png" for row in range(4)],
            "subject_key": [f"{row + 16:064x}" for row in range(4)],
            "split": splits,
            "gender": [0, 1, 0, 1],
        }
    )
    info = ManifestInfo("tiny", "0" * 16, SIZE, {"gender": ("female", "male")})
    return Manifest(rows, info, tmp_path)
