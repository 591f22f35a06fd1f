"""The life cycle, end to end: synthetic faces, a deletion request, ``dvc repro``, a version, a verified audit."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import sqlite3
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.pipeline.leaks import find_leaks
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


def test_no_identity_and_no_plain_hash_leaves_the_raw_data(lived: Project) -> None:
    """Whatever the pipeline wrote or printed, Git's objects and MLflow's store included, names nobody and no photo.

    Excepted are the raw data and DVC's own store, which addresses content by its MD5; what remains of a forgotten
    person there is the business of the erasure.
    """
    printed = "".join(
        lived.run(*command.split())
        for command in ("dlfd-ops audit report", "dlfd-ops audit show", "dlfd-ops request list --json", "dvc status")
    )
    lived.run("git", "add", "--all")
    photos = [path.read_bytes() for path in (lived.root / "data/raw").rglob("*.png")]
    assert len(photos) > 100
    hashes = [hashlib.new(name, photo).hexdigest() for photo in photos for name in ("sha256", "md5")]
    assert find_leaks(lived.root, people(lived), hashes, printed) == []


def test_a_leak_is_found_wherever_it_is_packed(tmp_path: Path) -> None:
    """In text, in a file's name, in a table, an archive, a database, a Git object, and on the terminal."""
    secret, root, digest = "person-00000", tmp_path, hashlib.sha256(b"photo").hexdigest()
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    (root / "plain.txt").write_text(secret)
    subprocess.run(["git", "-C", str(root), "add", "plain.txt"], check=True)
    (root / secret).touch()
    (root / "digest.txt").write_text(f"ab{digest.upper()}cd")
    pd.DataFrame({"who": [secret] * 100}).to_parquet(root / "table.parquet", compression="gzip")
    with zipfile.ZipFile(root / "model.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.json", secret * 100)
    with sqlite3.connect(root / "mlflow.db") as database:
        database.execute("create table tags (value text)")
        database.execute("insert into tags values (?)", (secret,))
    database.close()
    found = {leak.where for leak in find_leaks(root, [secret], [digest], printed=secret)}
    assert found == {
        "standard output",
        "plain.txt",
        "digest.txt",
        f"name of {secret}",
        "table.parquet",
        "model.zip",
        "mlflow.db",
        "Git's objects",
    }


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
