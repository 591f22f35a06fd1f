"""Models that serve themselves."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow.models import Model

from dlfd_ops.errors import BadInput, CheckFailed
from dlfd_ops.models.checkpoint import load_classifier, save_classifier, weights_digest
from dlfd_ops.models.classifier import FaceClassifier, ModelCard, ServedClassifier
from dlfd_ops.tracking import packaging
from dlfd_ops.tracking.packaging import CHECKPOINT, noise, package, requirements

SIZE = 32
SERVE = """
import sys
sys.modules["dlfd_ops"] = None  # from here on, importing it fails
import mlflow, numpy as np
model = mlflow.pyfunc.load_model(sys.argv[1])
for batch in (1, 2, 3, 7):
    images = np.load(f"{sys.argv[2]}/{batch}.npy")
    np.save(f"{sys.argv[2]}/{batch}.out.npy", np.asarray(model.predict(images)))
"""


def saved(folder: Path, architecture: str, labels: tuple[str, ...] = ("gender",)) -> Path:
    """Save a model of random weights, its batch statistics included."""
    torch.manual_seed(0)
    classes: dict[str, tuple[str, ...]] = {label: ("female", "male") for label in labels}
    model = FaceClassifier(ModelCard(architecture, labels, classes, SIZE)).train()
    with torch.no_grad():
        model(torch.rand(4, 3, SIZE, SIZE))
    save_classifier(model, folder)
    return folder


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A checkpoint of two binary labels, and the folder that it was packaged into."""
    folder = tmp_path_factory.mktemp("packaged")
    checkpoint = saved(folder / "checkpoint", "resnet18", ("smiling", "young"))
    package(checkpoint, folder / "model", Model())
    return checkpoint, folder / "model"


@pytest.mark.parametrize(
    "architecture",
    [
        "resnet18",
        pytest.param("densenet121", marks=pytest.mark.slow),
        pytest.param("efficientnet_b0", marks=pytest.mark.slow),
    ],
)
def test_serves_any_batch_where_this_package_is_absent(architecture: str, tmp_path: Path) -> None:
    """Plain pyfunc, in another folder and without this package, answers as the model does."""
    checkpoint = saved(tmp_path / "checkpoint", architecture)
    package(checkpoint, tmp_path / "model", Model())
    data = tmp_path / "data"
    data.mkdir()
    images = {batch: np.random.default_rng(batch).random((batch, 3, SIZE, SIZE), np.float32) for batch in (1, 2, 3, 7)}
    for batch, array in images.items():
        np.save(data / f"{batch}.npy", array)
    subprocess.run([sys.executable, "-c", SERVE, str(tmp_path / "model"), str(data)], cwd=data, check=True)
    served = ServedClassifier(load_classifier(checkpoint)).eval()
    for batch, array in images.items():
        with torch.no_grad():
            expected = served(torch.from_numpy(array)).numpy()
        answered = np.load(data / f"{batch}.out.npy")
        assert answered.shape == (batch, 2)
        assert np.abs(answered - expected).max() < 1e-5


def test_says_what_it_takes_and_what_it_answers(packaged: tuple[Path, Path]) -> None:
    """The model file states signature, classes, size and weights, and needs torch and MLflow alone."""
    checkpoint, model = packaged
    described = Model.load(str(model))
    assert described.signature.inputs.inputs[0].shape == (-1, 3, SIZE, SIZE)
    assert described.signature.outputs.inputs[0].shape == (-1, 2)
    assert described.metadata is not None
    facts = described.metadata["dlfd"]
    assert facts["outputs"] == ["smiling", "young"]
    assert facts["output_activation"] == "sigmoid"
    assert facts["classes"] == {"smiling": ["female", "male"], "young": ["female", "male"]}
    assert facts["image_size"] == SIZE
    assert facts["weights_digest"] == weights_digest(checkpoint)
    needed = (model / "requirements.txt").read_text().split()
    assert [name.partition("==")[0] for name in needed] == ["mlflow", "torch"]


def test_holds_noise_and_no_pickle(packaged: tuple[Path, Path]) -> None:
    """The example shows nobody, no file needs to be unpickled to be read, and none names a folder of this machine."""
    _, model = packaged
    example = json.loads((model / "input_example.json").read_text())
    assert np.allclose(np.asarray(example), noise(2, SIZE))
    suffixes = {path.suffix for path in model.rglob("*") if path.is_file()}
    assert suffixes <= {"", ".json", ".yaml", ".txt", ".pt2", ".safetensors"}
    with zipfile.ZipFile(model / packaging.EXPORTED) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    assert records["model/data/sample_inputs/model.pt"] == b""
    for folder in (sys.prefix, str(Path(packaging.__file__).parents[2])):
        assert [name for name, content in records.items() if folder.encode() in content] == []


def test_checkpoint_can_be_unlearned_from_again(packaged: tuple[Path, Path]) -> None:
    """The weights beside the export are the ones that were packaged."""
    checkpoint, model = packaged
    restored = load_classifier(model / CHECKPOINT)
    expected = load_classifier(checkpoint).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in restored.state_dict().items())


def test_export_that_answers_otherwise_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison with the model is made, and can fail."""
    monkeypatch.setattr(packaging, "TOLERANCE", 0.0)
    with pytest.raises(CheckFailed, match="must answer as the model does"):
        package(saved(tmp_path / "checkpoint", "resnet18"), tmp_path / "model", Model())


def test_missing_checkpoint_is_bad_input(tmp_path: Path) -> None:
    """Packaging nothing is an error in one line."""
    with pytest.raises(BadInput):
        package(tmp_path / "nothing", tmp_path / "model", Model())


def test_noise_is_the_same_every_time() -> None:
    """The example is reproducible and lies in the range of images."""
    first = noise(2, 8)
    assert first.shape == (2, 3, 8, 8)
    assert first.dtype == np.float32
    assert np.array_equal(first, noise(2, 8))
    assert 0 <= first.min() < first.max() <= 1


def test_requirements_name_a_public_version() -> None:
    """A build's local version (+cpu, +cu130) cannot be installed from an index."""
    assert all("+" not in line for line in requirements())
