"""The whole life cycle on somebody else's repository: their training, their registry, their model unlearns."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.foreign.repository import INIT, make_repository
from tests.pipeline.project import Project

pytestmark = pytest.mark.slow
READ = (
    "import json; from mlflow import MlflowClient; c = MlflowClient('sqlite:///mlflow.db');"
    "print(json.dumps({v.version: v.tags for v in c.search_model_versions(\"name='ages-private'\")}))"
)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Their repository after their training, ``dlfd-ops init``, three requests and ``dvc repro``."""
    project = make_repository(tmp_path_factory.mktemp("theirs"), ("pickle", "pt2"))
    project.run("dvc", "repro", "--quiet")
    project.run("git", "add", "--all")
    project.run("git", "commit", "--quiet", "--message", "Our model")
    pipeline = Folder(project.root)
    project.run(*INIT)
    pipeline.set_params(
        unlearn={
            "batch_size": 16,
            "forget_batch_size": 8,
            "probe": {"every": 4, "images": 16},
            "anchor_batch_size": 8,
        },
        evaluate={"attack_splits": 2},
    )
    with (project.root / "data/faces/people.csv").open(newline="") as stream:
        people = sorted({row["person"] for row in csv.DictReader(stream) if row["fold"] == "train"})
    for person in people[:3]:
        pipeline.run("dlfd-ops", "request", "add", "--subject", "-", stdin=f"{person}\n")
    pipeline.run("dvc", "repro")
    return project


class Folder(Project):
    """The pipeline's folder of somebody else's repository."""

    def __init__(self, top: Path) -> None:
        super().__init__(top / "dlfd")


def test_their_model_unlearnt_and_keeps_its_names(lived: Project) -> None:
    """The unlearned weights load into their bare module by their own names, and differ from the original."""
    original = load_file(lived.root / "dlfd/models/original/weights.safetensors")
    unlearned = load_file(lived.root / "dlfd/models/unlearned/weights.safetensors")
    assert "classify.weight" in unlearned
    assert original.keys() == unlearned.keys()
    assert any((original[name] != unlearned[name]).any() for name in original)
    card = json.loads((lived.root / "dlfd/models/unlearned/model.json").read_text())
    assert card["classes"] == {"age": ["young", "middle", "old"]}
    assert card["factory"]["layer"] == "classify"


def test_a_version_with_lineage_stands_in_their_registry(lived: Project) -> None:
    """The original names the version that it came from, pinned; the unlearned one names the original."""
    versions = json.loads(lived.run("python", "-c", READ).splitlines()[-1])
    receipt = json.loads((lived.root / "dlfd/registry/version.json").read_text())
    tags = versions[str(receipt["version"])]
    assert tags["dlfd.parent_version"] == str(receipt["original_version"])
    assert tags["dlfd.method"] == "dlfd/anchored"
    assert versions[str(receipt["original_version"])]["dlfd.adopted_from"] == "models:/ages/2"


def test_the_audit_agrees(lived: Project) -> None:
    """``dlfd-ops audit verify`` in the pipeline's folder finds nothing that differs."""
    Folder(lived.root).run("dlfd-ops", "audit", "verify")


def test_nothing_of_theirs_changed(lived: Project) -> None:
    """Git sees new files in the pipeline's folder only, and running again from the top does nothing."""
    changed = lived.run("git", "status", "--porcelain").splitlines()
    assert [line for line in changed if not line.endswith((" dlfd/", " mlflow.db.lock", " mlartifacts/"))] == []
    assert "Running stage" not in lived.run("dvc", "repro", "dlfd/dvc.yaml")


def test_a_model_that_is_only_a_pickle_is_refused(lived: Project) -> None:
    """Version 1 was registered as a pickle: one line says how to hand its weights over."""
    asked = [*INIT, "--weights", "models:/ages/1", "--folder", "other"]
    assert "safetensors.torch.save_file" in lived.run(*asked, expect=2)
    assert not (lived.root / "other").exists()
