"""The life cycle, end to end: synthetic faces, a deletion request, ``dvc repro``, a version, a verified audit."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.pipeline.project import Project

STAGES = ["prepare", "train", "forget_list", "unlearn", "evaluate", "register", "audit"]

CONTRACT = {"accuracy", "accuracy_retain", "accuracy_forget", "mia_accuracy", "mia_auc", "forgetting_score", "nomus"}


@pytest.fixture(scope="module")
def lived(new_project: Callable[[], Project]) -> Project:
    """A repository after its first deletion request."""
    project = new_project()
    project.run("python", "-m", "dlfd_ops.data.synthetic_faces", "--root", "data/raw", "--subjects", "40")
    project.run("dvc", "add", "--quiet", "data/raw")
    for subject in people(project)[::4]:
        project.run("dlfd-ops", "request", "add", "--subject", "-", stdin=f"{subject}\n")
    project.run("dvc", "repro")
    return project


def people(project: Project) -> list[str]:
    """Return the raw subject ids of the synthetic data."""
    with (project.root / "data/raw/labels.csv").open(newline="") as stream:
        return sorted({row["subject_id"] for row in csv.DictReader(stream)})


def test_the_pipeline_is_the_seven_stages(lived: Project) -> None:
    """``dvc.lock`` holds every stage, in the order of the contract, and each reads its own section and base only."""
    pipeline = yaml.safe_load((lived.root / "dvc.yaml").read_text())["stages"]
    assert list(pipeline) == STAGES
    assert all(set(stage["params"]) <= {"base", name} for name, stage in pipeline.items())
    assert list(yaml.safe_load((lived.root / "dvc.lock").read_text())["stages"]) == STAGES


def test_a_second_repro_runs_nothing(lived: Project) -> None:
    """Without a new request everything is up to date."""
    assert "Running stage" not in lived.run("dvc", "repro")


def test_dvc_shows_the_numbers_of_both_models(lived: Project) -> None:
    """``dvc metrics show`` has the keys of the contract, and ``dvc plots show`` a page."""
    shown = json.loads(lived.run("dvc", "metrics", "show", "--json"))
    metrics = shown[""]["data"]["metrics/unlearning.json"]["data"]
    for model in ("original", "unlearned"):
        keys = {
            "accuracy",
            "accuracy_retain",
            "accuracy_forget",
            "mia_accuracy",
            "mia_auc",
            "forgetting_score",
            "nomus",
        }
        assert keys <= set(metrics[model])
    assert {"unlearn", "train"} <= set(metrics["seconds"])
    lived.run("dvc", "plots", "show", "--out", "shown")
    assert "vega" in (lived.root / "shown/index.html").read_text()


def test_the_registry_holds_the_lineage(lived: Project) -> None:
    """The original is version 1, the unlearned version 2 with its tags, and registering again adds none."""
    script = (
        "import json; from mlflow import MlflowClient; c = MlflowClient('sqlite:///mlflow.db');"
        "print(json.dumps({v.version: v.tags for v in c.search_model_versions(\"name='face-age-synthetic'\")}))"
    )
    before = json.loads(lived.run("python", "-c", script).splitlines()[-1])
    assert {str(version) for version in before} == {"1", "2"}
    tags = before["2"]
    receipt = json.loads((lived.root / "registry/version.json").read_text())
    assert tags["dlfd.parent_version"] == "1"
    assert tags["dlfd.method"] == "dlfd/anchored"
    assert tags["dlfd.forget_list_digest"] == receipt["forget_list_digest"]
    assert tags["dlfd.gate"] in {"passed", "failed"}
    lived.run("dvc", "repro", "--force", "--single-item", "register")
    after = json.loads(lived.run("python", "-c", script).splitlines()[-1])
    assert after.keys() == before.keys()


def test_verify_agrees_and_finds_a_changed_weight_file(lived: Project) -> None:
    """Exit status 0 on the untouched repository, 1 with what differs once a weight file was changed."""
    lived.run("dlfd-ops", "audit", "verify")
    weights = lived.root / "models/unlearned/weights.safetensors"
    kept = weights.read_bytes()
    try:
        weights.unlink()
        weights.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
        assert "models/unlearned" in lived.run("dlfd-ops", "audit", "verify", expect=1)
    finally:
        weights.write_bytes(kept)
    lived.run("dlfd-ops", "audit", "verify")


def test_no_raw_identity_leaves_the_raw_data(lived: Project) -> None:
    """Neither Git-tracked files nor metrics, ledger, report or MLflow name a subject of the raw data."""
    wanted = [subject.encode() for subject in people(lived)]
    places = ["audit", "deletion", "metrics", "models", "plots", "registry", "data/prepared", "mlflow.db", "dvc.lock"]
    files = [file for place in places for file in _files(lived.root / place)]
    assert len(files) > 100
    for file in files:
        content = file.read_bytes()
        assert not [subject for subject in wanted if subject in content], file


def test_data_and_models_survive_a_lost_workspace(lived: Project) -> None:
    """Pushed to the remote, everything comes back with ``dvc pull``."""
    lived.run("dvc", "push", "--quiet")
    for place in (".dvc/cache", "models/unlearned", "data/prepared", "deletion/requests.csv"):
        path = lived.root / place
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    lived.run("dvc", "pull", "--quiet")
    lived.run("dlfd-ops", "audit", "verify")


def test_a_request_that_matches_nothing_stops_the_pipeline(lived: Project) -> None:
    """Fail closed: the forget_list stage names the request and exits with 2; withdrawn, the pipeline goes on."""
    filed = json.loads(lived.run("dlfd-ops", "request", "add", "--subject", "-", "--json", stdin="nobody at all\n"))
    request_id = filed["request_id"]
    assert request_id in lived.run("dvc", "repro", "forget_list", expect=255)
    lived.run("dlfd-ops", "request", "withdraw", request_id)
    assert request_id not in lived.run("dvc", "repro", "forget_list")


def _files(place: Path) -> list[Path]:
    return [path for path in place.rglob("*") if path.is_file()] if place.is_dir() else [place]
