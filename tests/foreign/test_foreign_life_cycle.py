"""The whole life cycle on somebody else's repository: their training, their registry, their model unlearns."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file

from dlfd_ops.deletion.erasure import TRACKED
from tests.foreign.repository import INIT, make_repository
from tests.pipeline.project import Project

pytestmark = pytest.mark.slow
ASKED = 3
LENIENT = {"max_accuracy_drop": 1.0} | dict.fromkeys(
    ("max_attack_auc_excess", "max_overshoot", "max_attack_auc_error"), 0.5
)
"""So little training says nothing about the method: what is tested here is what comes after the gate."""
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
        register={"policy": LENIENT},
    )
    for person in people(project)[:ASKED]:
        pipeline.run("dlfd-ops", "request", "add", "--subject", "-", stdin=f"{person}\n")
    pipeline.run("dvc", "repro")
    return project


@pytest.fixture(scope="module")
def photos(lived: Project) -> list[bytes]:
    """The photos of the people who asked, as they were delivered."""
    asked, folder = people(lived)[:ASKED], lived.root / "data/faces"
    with (folder / "people.csv").open(newline="") as stream:
        return [(folder / row["file"]).read_bytes() for row in csv.DictReader(stream) if row["person"] in asked]


@pytest.fixture(scope="module")
def erased(lived: Project, photos: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same with a DVC remote, once the version that forgot serves and the data are erased.

    They track a copy of their weights themselves, which is the same object for DVC.
    """
    assert photos
    pipeline = Folder(lived.root)
    lived.run("dvc", "remote", "add", "--default", "disk", str(tmp_path_factory.mktemp("disk")))
    shutil.copy(lived.root / "dlfd/adopted/weights.safetensors", lived.root / "copy.safetensors")
    lived.run("dvc", "add", "--quiet", "copy.safetensors")
    lived.run("git", "add", "--all")
    lived.run("git", "commit", "--quiet", "--message", "Unlearned")
    lived.run("dvc", "push", "--quiet", "--run-cache")
    pipeline.run("dlfd-ops", "promote")
    assert TRACKED in pipeline.run("dlfd-ops", "erase", "plan")
    pipeline.run("dlfd-ops", "erase", "run", "--yes")
    lived.run("git", "add", "--all")
    lived.run("git", "commit", "--quiet", "--message", "Erased")
    lived.run("dvc", "push", "--quiet")
    return lived


def people(project: Project) -> list[str]:
    """Return the people whom their model was trained on."""
    with (project.root / "data/faces/people.csv").open(newline="") as stream:
        return sorted({row["person"] for row in csv.DictReader(stream) if row["fold"] == "train"})


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


def test_what_is_erased_is_in_no_store(
    erased: Project, photos: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Neither photo nor MD5 of one in repository, cache, remote or MLflow; the weights to adopt are gone."""
    needles = [*photos, *(hashlib.md5(photo).hexdigest().encode() for photo in photos)]
    files = [path for path in tmp_path_factory.getbasetemp().rglob("*") if path.is_file()]
    assert not [path for path in files if any(needle in path.read_bytes() for needle in needles)]
    names = {"".join(path.parts[-2:]) for path in files}
    assert names.isdisjoint(hashlib.md5(photo).hexdigest() for photo in photos)
    assert [path.name for path in (erased.root / "dlfd/adopted").iterdir()] == [".gitignore"]


def test_the_pipeline_works_after_an_erasure(erased: Project) -> None:
    """The audit agrees, neither data nor original are made again, a clone gets all, the next request is unlearned."""
    pipeline = Folder(erased.root)
    pipeline.run("dlfd-ops", "audit", "verify")
    assert not ran(pipeline) & {"prepare", "train"}
    assert ran(pipeline) == set()
    erased.run("git", "add", "--all")
    erased.run("git", "commit", "--quiet", "--message", "From the version that serves")
    erased.run("dvc", "push", "--quiet")
    erased.run("git", "clone", "--quiet", ".", "../clone")
    clone = Project(erased.root.parent / "clone")
    clone.run("dvc", "pull", "--quiet")
    assert "changed" not in clone.run("dvc", "status", "dlfd/dvc.yaml")
    pipeline.run("dlfd-ops", "request", "add", "--subject", "-", stdin=f"{people(erased)[0]}\n")
    again = ran(pipeline)
    assert "unlearn" in again
    assert not again & {"prepare", "train"}
    pipeline.run("dlfd-ops", "audit", "verify")


def ran(pipeline: Project) -> set[str]:
    """Reproduce the pipeline; return the stages that ran."""
    return set(re.findall(r"Running stage '(\w+)'", pipeline.run("dvc", "repro")))
