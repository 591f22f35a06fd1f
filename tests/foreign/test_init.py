"""``dlfd-ops init`` on a small repository of somebody else's: what it writes, and what it refuses."""

from __future__ import annotations

import difflib
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from PIL import Image

from dlfd_ops.cli import main
from dlfd_ops.digest import sha256_file
from dlfd_ops.models.checkpoint import save_weights
from dlfd_ops.models.exported import read_exported_weights
from dlfd_ops.params import load_params
from dlfd_ops.tracking.store import open_store
from dlfd_ops.workflows.init_files import TEMPLATES

MODEL = """
from torch import nn

def build(outputs=2):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, outputs))

def failing():
    raise OSError("weights are on another disk")
"""
PARAMS = "train:   {lr: 0.1}   # ours\nprepare:\n    size: 16\n"
PIPELINE = "stages:\n  train: {cmd: 'true'}  # ours\n  prepare: {cmd: 'true'}\n"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A Git and DVC repository with own params, own stages, own images and own model; returns the model's module."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet"], check=True)
    subprocess.run(["dvc", "init", "--quiet"], check=True)
    name = f"ours_{tmp_path.name.replace('-', '_')}"
    Path(f"{name}.py").write_text(MODEL)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("params.yaml").write_text(PARAMS)
    Path("dvc.yaml").write_text(PIPELINE)
    for split in ("train", "test"):
        for label in ("a", "b"):
            Path(f"images/{split}/{label}").mkdir(parents=True)
            Image.fromarray(np.zeros((20, 20, 3), np.uint8), "RGB").save(f"images/{split}/{label}/1.png")
    save_weights({"2.weight": torch.ones(2, 3), "2.bias": torch.zeros(2)}, Path("weights.safetensors"))
    return name


def call(module: str, *extra: str, **changes: str) -> tuple[int, str]:
    """Run the command with options that fit, but for ``changes``; return exit status and output."""
    options = {
        "name": "ours",
        "factory": f"{module}:build",
        "weights": "weights.safetensors",
        "data": "images",
        "source": "image_folder",
        "label": "class",
        "image-size": "16",
    } | {key.replace("_", "-"): value for key, value in changes.items()}
    arguments = [part for key, value in options.items() for part in (f"--{key}", value)]
    done = CliRunner().invoke(main, ["init", *arguments, *extra])
    return done.exit_code, done.output


def tree() -> dict[str, bytes]:
    """Return every file that is not Git's or DVC's own."""
    files = (path for path in Path().rglob("*") if path.is_file() and path.parts[0] not in (".git", ".dvc"))
    return {str(path): path.read_bytes() for path in files if "__pycache__" not in path.parts}


def test_one_folder_is_added_and_nothing_else_changes(module: str) -> None:
    """Every file of theirs keeps its bytes; the new params are valid and say what was asked."""
    before = tree()
    status, output = call(module)
    assert status == 0, output
    after = tree()
    assert {name: content for name, content in after.items() if not name.startswith("dlfd/")} == before
    params = load_params(Path("dlfd/params.yaml"))
    assert params.train.architecture == f"{module}:build"
    assert params.train.factory is not None
    assert (params.train.factory.layer, params.train.factory.side) == ("2", "input")
    assert (params.prepare.root, params.prepare.split_by, params.prepare.draw_from) == (
        "../images",
        "source",
        "held_out",
    )


@pytest.mark.parametrize("folder", ["", "weights/of", "../home-of-jane.doe"])
def test_of_a_file_elsewhere_name_and_content_are_recorded(module: str, folder: str) -> None:
    """Within the repository a path says where, be it given as an absolute one; outside it would tell of a machine."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    weights = Path("weights.safetensors").rename(Path(folder, "ours.safetensors")).resolve()
    named = f"ours.safetensors (SHA-256 {sha256_file(weights)})" if ".." in folder else str(Path(folder, weights.name))
    status, output = call(module, "--json", weights=str(weights))
    assert status == 0, output
    factory = load_params(Path("dlfd/params.yaml")).train.factory
    assert factory is not None
    assert factory.origin == json.loads(output)["origin"] == named
    assert not [name for name, content in tree().items() if str(weights.parent).encode() in content]


def test_the_stages_are_those_of_this_project(module: str) -> None:
    """Same names in the same order, each run from the installed package; DVC accepts the file."""
    call(module)
    theirs = yaml.safe_load(Path("dlfd/dvc.yaml").read_text())["stages"]
    assert list(theirs) == list(yaml.safe_load((TEMPLATES / "pipeline.yaml").read_text())["stages"])
    for name, stage in theirs.items():
        assert stage["cmd"].endswith(f"-m dlfd_ops.workflows.stage {name}")
        assert not [path for path in stage["deps"] if path.startswith(("dlfd_ops", "pipelines"))]
    assert f"../{module}.py" in theirs["unlearn"]["deps"]
    shown = subprocess.run(["dvc", "stage", "list", "--all"], capture_output=True, text=True, check=True).stdout
    assert "dlfd/dvc.yaml:unlearn" in shown
    assert "dlfd/pipelines/benchmark/dvc.yaml:retrain" in shown


def test_dvc_takes_no_template_for_a_pipeline() -> None:
    """DVC reads every ``dvc.yaml`` of a repository, an environment inside of it included."""
    assert not [path for path in TEMPLATES.rglob("*") if path.name in ("dvc.yaml", "dvc.lock")]


def test_a_second_run_writes_nothing_and_a_killed_one_is_completed(module: str) -> None:
    """The same command again finds every file; what a killed run left out is added."""
    call(module)
    before = tree()
    status, output = call(module, "--json")
    assert (status, json.loads(output)["new"]) == (0, [])
    for name in ("dlfd/dvc.yaml", "dlfd/adopted/weights.safetensors.dvc"):
        Path(name).unlink()
    assert call(module)[0] == 0
    assert tree() == before


def test_a_dry_run_shows_a_patch_and_writes_nothing(module: str) -> None:
    """What it prints is the files line by line."""
    before = tree()
    status, output = call(module, "--dry-run")
    assert status == 0
    assert tree() == before
    call(module)
    written = Path("dlfd/params.yaml").read_text()
    patch = "\n".join(line[1:] for line in output.splitlines() if line.startswith("+"))
    assert difflib.SequenceMatcher(None, written, patch).find_longest_match().size >= len(written) - 1


def test_a_file_in_the_way_is_kept_and_named(module: str) -> None:
    """Their own folder of that name, or a file that they changed since: nothing is written at all."""
    Path("dlfd").mkdir()
    Path("dlfd/dvc.yaml").write_text(PIPELINE)
    before = tree()
    status, output = call(module)
    assert status == 2
    assert "dlfd/dvc.yaml with other content" in output
    assert tree() == before
    assert call(module, folder="privacy")[0] == 0


@pytest.mark.parametrize(
    ("extra", "changes", "said"),
    [
        ((), {"factory": "{module}:failing"}, "weights are on another disk"),
        ((), {"factory": "{module}:other"}, "no other"),
        ((), {"factory": "torchvision.models:resnet18"}, "which lies elsewhere"),
        ((), {"factory": "build"}, "package.module:function"),
        (("--argument", "outputs=3"), {}, "with 2 outputs"),
        (("--argument", "outputs=3", "--layer", "2"), {}, "size mismatch"),
        (("--argument", "outputs"), {}, "KEY=VALUE"),
        ((), {"layer": "head"}, "must name a layer"),
        ((), {"label": "age"}, "choose from: class"),
        ((), {"classes": "class=a,c"}, "the source has: a, b"),
        ((), {"image_size": "9"}, "9"),
        ((), {"data": "nowhere"}, "no such folder"),
        ((), {"data": "images/train"}, "trained on"),
        ((), {"weights": "model.pth"}, "save_file"),
        ((), {"weights": "models:/ours"}, "models:/NAME@ALIAS"),
        ((), {"weights": "models:/ours/7"}, "no such file"),
        ((), {"folder": "."}, "the top folder"),
        ((), {"folder": "../elsewhere"}, "a folder outside"),
        ((), {"name": "Not A Name"}, "base.dataset"),
        (("--std", "0", "1", "1"), {}, "std"),
    ],
)
def test_bad_input_is_one_line_and_nothing_written(
    module: str, extra: tuple[str, ...], changes: dict[str, Any], said: str
) -> None:
    """Whatever does not fit is named with what to do, exit status 2, and the repository stays as it was."""
    status, output = call(module, *extra, **{key: value.format(module=module) for key, value in changes.items()})
    assert status == 2, output
    lines = [line for line in output.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert said in lines[0]
    assert not Path("dlfd").exists()
    assert not Path("mlflow.db").exists()


@pytest.mark.parametrize(
    ("named", "said"), [("@champion", "no alias champion of ours"), ("/7", "no version 7 of ours")]
)
def test_a_model_that_the_registry_lacks_is_named(module: str, named: str, said: str) -> None:
    """With a store that has other models."""
    open_store(Path())
    status, output = call(module, weights=f"models:/ours{named}")
    assert status == 2
    assert said in output


@pytest.mark.parametrize("missing", [".git", ".dvc"])
def test_only_in_the_top_folder_of_a_repository(module: str, missing: str) -> None:
    """Without Git or DVC there is nothing to version the pipeline with."""
    Path(missing).rename("away")
    status, output = call(module)
    assert status == 2
    assert f"a folder without {missing}" in output


def test_exported_weights_are_read_as_bytes(tmp_path: Path) -> None:
    """The state dict of an exported module comes back exactly, non-contiguous and scalar tensors included."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).eval()
    model[0].weight.data = model[0].weight.data.to(memory_format=torch.channels_last)
    program = torch.export.export(model, (torch.rand(2, 3, 8, 8),))
    torch.export.save(program, tmp_path / "model.pt2")
    found = read_exported_weights(tmp_path / "model.pt2")
    expected = model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
