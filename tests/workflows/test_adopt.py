"""Adopting an original that was trained elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from dlfd_ops.errors import BadInput
from dlfd_ops.evaluation.results import read_seconds
from dlfd_ops.models.checkpoint import load_classifier, save_weights
from dlfd_ops.params import Params, load_params
from dlfd_ops.workflows.prepare import prepare
from dlfd_ops.workflows.train import train

REPOSITORY = Path(__file__).resolve().parents[2]
MODEL = '''
import torch
from torch import nn

class Brightness(nn.Module):
    """Says class 1 of a bright image."""

    def __init__(self, outputs=2):
        super().__init__()
        self.fc = nn.Linear(3, outputs)

    def forward(self, images):
        return self.fc(images.mean(dim=(2, 3)))

def build(outputs=2):
    return Brightness(outputs)
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A repository with dark and bright photos, a model's code and its weights; returns the name of its module."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc").mkdir()
    name = f"faces_{tmp_path.name.replace('-', '_')}"
    Path(f"{name}.py").write_text(MODEL)
    monkeypatch.syspath_prepend(str(tmp_path))
    lines = ["image,subject_id,split,tone"]
    for person in range(24):
        tone = ("dark", "bright")[person % 2]
        values = np.random.default_rng(person).integers(0, 100, (20, 20, 3)) + 150 * (person % 2)
        Path("raw").mkdir(exist_ok=True)
        Image.fromarray(values.astype(np.uint8), "RGB").save(f"raw/{person}.png")
        lines.append(f"{person}.png,{person},{('train', 'val', 'test')[person % 3]},{tone}")
    Path("raw/manifest.csv").write_text("\n".join(lines) + "\n")
    Path("deletion").mkdir()
    shutil.copy(REPOSITORY / "deletion/suppression.csv", "deletion/suppression.csv")
    weight = torch.tensor([[-1.0] * 3, [1.0] * 3])
    save_weights({"fc.weight": weight, "fc.bias": torch.zeros(2)}, Path("weights.safetensors"))
    return name


def make_params(module: str, order: tuple[str, str] = ("dark", "bright"), **factory: Any) -> Params:
    """Return parameters that adopt the model of ``module``."""
    values = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    values["base"] |= {"labels": ["tone"], "image_size": 16}
    values["prepare"] |= {
        "source": "manifest_csv",
        "root": "raw",
        "split_by": "source",
        "draw_from": "held_out",
        "classes": {"tone": list(order)},
    }
    values["train"]["architecture"] = f"{module}:build"
    values["train"]["factory"] = {
        "layer": "fc",
        "side": "input",
        "arguments": {},
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "weights": "weights.safetensors",
        "origin": "models:/tone/3",
    } | factory
    Path("params.yaml").write_text(yaml.safe_dump(values))
    return load_params()


def test_the_original_is_taken_as_it_is(module: str) -> None:
    """The model lies in models/original with its origin, its accuracy is noted, and how long it took is not known."""
    params = make_params(module)
    prepare(params)
    train(params)
    model = load_classifier(Path("models/original"))
    assert torch.equal(model.core.get_submodule("fc").get_parameter("weight")[1], torch.ones(3))
    assert model.card.factory is not None
    assert model.card.factory.origin == "models:/tone/3"
    assert model.card.classes == {"tone": ("dark", "bright")}
    assert json.loads(Path("metrics/train.json").read_text()) == {"seconds": None, "accuracy": 1.0}
    assert read_seconds(Path("metrics/train.json")) is None


def test_one_process_of_several_adopts(module: str) -> None:
    """Under a profile of two processes one takes the weights, and the other leaves the files alone."""
    prepare(make_params(module))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*launch, str(REPOSITORY / "pipelines/train.py")],
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{Path.cwd()}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr.count(f"adopted {module}:build: accuracy 1.0000") == 1
    assert load_classifier(Path("models/original")).card.architecture == f"{module}:build"


@pytest.mark.parametrize(
    ("order", "factory", "said"),
    [
        (("bright", "dark"), {}, "check the order in prepare.classes"),
        (("dark", "bright"), {"arguments": {"outputs": 3}}, "size mismatch"),
        (("dark", "bright"), {"arguments": {"colour": 3}}, "unexpected keyword argument"),
        (("dark", "bright"), {"weights": "nowhere.safetensors"}, "No such file"),
        (("dark", "bright"), {"layer": "head"}, "must name a layer"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(
    module: str, order: tuple[str, str], factory: dict[str, Any], said: str
) -> None:
    """A swapped class order, other outputs, wrong arguments, no weights, no such layer: one line, nothing written."""
    params = make_params(module, order, **factory)
    prepare(params)
    with pytest.raises(BadInput, match=said) as caught:
        train(params)
    assert "\n" not in str(caught.value)
    assert not Path("models/original").exists()


def test_a_factory_stands_beside_its_name(module: str) -> None:
    """A factory without its section, and the section beside one of our architectures, are named."""
    make_params(module)
    values = yaml.safe_load(Path("params.yaml").read_text())
    values["train"]["architecture"] = "resnet18"
    Path("params.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(BadInput, match="stand together"):
        load_params()


def test_a_factory_can_be_trained_here(module: str) -> None:
    """Without weights the stage trains the factory's module by the recipe of ``train``."""
    params = make_params(module, weights=None, origin=None)
    section = params.train.model_copy(update={"epochs": 1, "batch_size": 4})
    params = params.model_copy(update={"train": section})
    prepare(params)
    train(params)
    assert read_seconds(Path("metrics/train.json")) is not None
    assert load_classifier(Path("models/original")).card.architecture == f"{module}:build"


@pytest.mark.parametrize(
    ("architecture", "arguments", "said"),
    [
        ("", {"outputs": 3}, "one output for each of dark, bright"),
        ("densenet121", {}, "must take .B, 3, 16, 16. images"),
    ],
)
def test_a_model_to_train_must_fit_too(module: str, architecture: str, arguments: dict[str, Any], said: str) -> None:
    """Other outputs than classes, or images that are too small for the architecture: one line before the first step."""
    params = make_params(module, weights=None, origin=None, arguments=arguments)
    section = params.train.model_copy(update={"epochs": 1, "batch_size": 4})
    if architecture:
        section = section.model_copy(update={"architecture": architecture, "factory": None})
    params = params.model_copy(update={"train": section})
    prepare(params)
    with pytest.raises(BadInput, match=said) as caught:
        train(params)
    assert "\n" not in str(caught.value)
    assert not Path("models/original").exists()
