"""What all tests share: tiny labelled images, real faces where they are at hand, quiet stores."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from dlfd_ops.data.images import LabelledImages
from dlfd_ops.models.classifier import FaceClassifier, ModelCard

# A busy machine is slow, not wrong.
settings.register_profile("any-machine", deadline=None)
settings.load_profile("any-machine")
# Two test processes share two cores; more threads would only wait for each other.
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DVC_NO_ANALYTICS", "true")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own key, store or profile must not reach the tests."""
    for name in (
        "DLFD_SECRET_KEY",
        "DLFD_SIGNING_KEY",
        "DLFD_SIGNING_KEY_FILE",
        "DLFD_PROFILE",
        "MLFLOW_TRACKING_URI",
        "MLFLOW_EXPERIMENT_NAME",
        "MLFLOW_RUN_ID",
    ):
        monkeypatch.delenv(name, raising=False)
    # Importing some of MLflow sets it to errors only; which test imports that first is chance.
    logging.getLogger().setLevel(logging.WARNING)


@pytest.fixture
def faces() -> Path:
    """The folder with real faces; skips where it is absent."""
    folder = Path(os.environ.get("DLFD_FACES", REPOSITORY.parent / "shared" / "faces"))
    if not (folder / "utkface" / "manifest.csv").is_file():
        pytest.skip(f"needs real faces: none in {folder} (set DLFD_FACES)")
    return folder


@pytest.fixture
def make_images() -> Callable[..., LabelledImages]:
    """Return a maker of labelled images whose brightness tells the class, with noise."""

    def make(count: int, *, classes: int = 2, size: int = 32, seed: int = 0, labels: int = 1) -> LabelledImages:
        generator = torch.Generator().manual_seed(seed)
        targets = torch.randint(0, classes, (count,), generator=generator)
        noise = torch.randint(0, 64, (count, 3, size, size), generator=generator)
        images = (noise + (targets * (190 // classes)).view(-1, 1, 1, 1)).to(torch.uint8)
        ids = tuple(f"{seed:02d}{index:062d}" for index in range(count))
        if labels > 1:
            targets = torch.stack([(targets + label) % 2 for label in range(labels)], dim=1).float()
        return LabelledImages(images, targets, ids, ids)

    return make


@pytest.fixture
def make_classifier() -> Callable[..., FaceClassifier]:
    """Return a maker of small classifiers with seeded weights."""

    def make(
        *, architecture: str = "resnet18", classes: int = 2, size: int = 32, seed: int = 0, labels: int = 1
    ) -> FaceClassifier:
        torch.manual_seed(seed)
        names = tuple(f"label_{index}" for index in range(labels))
        values = {name: tuple(f"class-{index}" for index in range(classes)) for name in names}
        return FaceClassifier(ModelCard(architecture, names, values, size))

    return make
