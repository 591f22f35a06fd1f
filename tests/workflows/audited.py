"""A repository that the register stage has left behind, with a real ledger and a real MLflow store."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pytest
import torch
from mlflow import MlflowClient

from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.data.manifest import Manifest, ManifestInfo, write_manifest
from dlfd_ops.data.trained_on import read_trained_on, trained_on, write_trained_on
from dlfd_ops.deletion.forget_list import ForgetList, ForgetRow, SampleCount, write_forget_list
from dlfd_ops.deletion.parent import Parent, write_parent
from dlfd_ops.deletion.requests import DeletionRequest, Target, derive_request_id, read_requests, write_requests
from dlfd_ops.deletion.status import received_data
from dlfd_ops.digest import sha256_json
from dlfd_ops.evaluation.results import flatten
from dlfd_ops.models.checkpoint import save_classifier, weights_digest
from dlfd_ops.models.classifier import FaceClassifier, ModelCard
from dlfd_ops.params import load_params
from dlfd_ops.tracking.store import Store, open_store
from dlfd_ops.tracking.versions import read_version
from dlfd_ops.workflows.certify import certify_version
from dlfd_ops.workflows.evidence import sign_evidence
from dlfd_ops.workflows.layout import Layout

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")
PROVENANCE = {"dlfd.git_commit": "c" * 40, "dlfd.git_dirty": "false", "dlfd.dvc_lock_digest": "d" * 64}
NAME = PARAMS.register_.model_name
KEY_ID = "0123456789abcdef"
OTHER = "req-00000000000b"
SPLITS = ("train", "train", "anchor", "validation", "test")
METRICS = {
    "original": {"accuracy": 0.47, "mia_auc": 0.75, "nomus": 0.51},
    "unlearned": {"accuracy": 0.45, "mia_auc": 0.53, "mia_auc_error": 0.03, "nomus": 0.70},
    "seconds": {"train": 400.0, "unlearn": 40.0},
}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository before the register stage; it is copied, never changed."""
    root = tmp_path_factory.mktemp("evaluated")
    build(root)
    return root


@pytest.fixture(scope="module")
def registered(evaluated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with both versions in a real store, without the time that packaging the models takes."""
    root = copy(evaluated, tmp_path_factory.mktemp("registered") / "repository")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        register_quickly(root, open_store(root))
    return root


@pytest.fixture
def repository(registered: Path, tmp_path: Path) -> Path:
    """A copy of the registered repository, to be tampered with."""
    return copy(registered, tmp_path / "repository")


def build(root: Path) -> None:
    """Write a repository before the register stage."""
    manifest = build_manifest(root)
    request = build_request(manifest)
    write_requests(root / "deletion/requests.csv", [request])
    write_parent(root / "deletion/parent.json", Parent())
    sample = manifest.rows["sample_id"][0]
    forget_list = ForgetList((ForgetRow(sample, (request.request_id,)),), {request.request_id: SampleCount(1, 0)})
    write_forget_list(root / "deletion/forget_list.parquet", forget_list)
    write_trained_on(trained_on(manifest.split("train")), Layout(root).trained_on)
    for seed, kind in enumerate(("original", "unlearned")):
        torch.manual_seed(seed)
        card = ModelCard("resnet18", PARAMS.base.labels, {"age_group": ("young", "old")}, 32)
        save_classifier(FaceClassifier(card), root / "models" / kind)
    write_json(root / "metrics/unlearning.json", METRICS)
    write_json(root / "metrics/unlearn.json", {"method": "dlfd", "seconds": 40.0})
    write_losses(root / "plots/losses.csv")
    record_making(root, manifest, request, forget_list)


def only_request(root: Path) -> str:
    """Return the id of the one request."""
    (request,) = read_requests(root / "deletion/requests.csv")
    return request.request_id


def client(root: Path) -> MlflowClient:
    """Return a client of its store."""
    return MlflowClient(tracking_uri=f"sqlite:///{root / 'mlflow.db'}")


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def write_losses(path: Path) -> None:
    """Write the losses that the report draws."""
    path.parent.mkdir(parents=True)
    rows = [
        f"{model},{name},{0.1 * n}"
        for model in ("original", "unlearned")
        for name in ("forget", "test")
        for n in (1, 9)
    ]
    path.write_text("\n".join(["model,set,loss", *rows]) + "\n")


def build_manifest(root: Path, size: int = 32) -> Manifest:
    """Write the manifest of five people with a photo each."""
    rows = pd.DataFrame(
        {
            "sample_id": [f"{row:064x}" for row in range(len(SPLITS))],
            "path": [f"images/00/{row:064x}.png" for row in range(len(SPLITS))],
            "subject_key": [f"{100 + row:064x}" for row in range(len(SPLITS))],
            "split": SPLITS,
            "age_group": [0, 1, 0, 1, 0],
        }
    )
    info = ManifestInfo("synthetic", KEY_ID, size, {"age_group": ("young", "old")})
    manifest = Manifest(rows, info, root / "data/prepared")
    write_manifest(manifest, root / "data/prepared/manifest.parquet")
    return manifest


def build_request(manifest: Manifest) -> DeletionRequest:
    """Return the request of the first of them."""
    target = Target(key_id=KEY_ID, subject_key=manifest.rows["subject_key"][0])
    dates = {"received_at": "2026-10-05T09:00:00Z", "due_at": "2026-11-05", "legal_basis": "gdpr"}
    return DeletionRequest.model_validate(target.model_dump() | dates | {"request_id": derive_request_id(target, 0)})


def copy(source: Path, target: Path) -> Path:
    """Copy a repository; weights are linked: a test replaces them and never writes into them."""

    def copy(source: str, target: str) -> None:
        (os.link if source.endswith(".safetensors") else shutil.copy)(source, target)

    shutil.copytree(source, target, copy_function=copy)
    return target


def register_quickly(root: Path, store: Store) -> None:
    """Do what the register stage does, except for the model's files."""
    events = {event.kind: event.data for event in Ledger(root / "audit/ledger.jsonl").events()}
    resolved, unlearned = events["resolved"], events["unlearned"]
    (request_id,) = resolved["request_ids"]
    original, weights = unlearned["parent_weights_digest"], unlearned["weights_digest"]
    digest = resolved["forget_list_digest"]
    run_id = store.client.create_run(store.experiment_id("dlfd-synthetic")).info.run_id
    tags = [
        {
            "dlfd.method": "original",
            "dlfd.weights_digest": original,
            "dlfd.registration_key": sha256_json([NAME, "original", original, "", ""]),
        },
        {
            "dlfd.method": "dlfd",
            "dlfd.request_ids": request_id,
            "dlfd.forget_list_digest": digest,
            "dlfd.forget_count": "1",
            "dlfd.manifest_digest": resolved["manifest_digest"],
            "dlfd.parent_version": "1",
            "dlfd.weights_digest": weights,
            "dlfd.gate": "passed",
            "dlfd.registration_key": sha256_json([NAME, "dlfd", weights, digest, request_id]),
            **PROVENANCE,
        },
    ]
    store.client.create_registered_model(NAME)
    with TemporaryDirectory() as folder:
        (Path(folder) / "data").mkdir()
        (Path(folder) / "data/model.pt2").write_bytes(b"an exported model")
        store.client.log_artifacts(run_id, folder, "model")
    for version in tags:
        store.client.create_model_version(NAME, source=f"runs:/{run_id}/model", run_id=run_id, tags=version)
    store.client.set_registered_model_alias(NAME, "candidate", "2")
    named = {"model_name": NAME, "version": 2}
    registered = {
        **named,
        "run_id": run_id,
        "store": store.description,
        "weights_digest": weights,
        "forget_list_digest": digest,
        "provenance": PROVENANCE,
    }
    rules = [{"rule": "max_accuracy_drop", "value": 0.02, "limit": 0.05, "passed": True}]
    Ledger(root / "audit/ledger.jsonl").append_all(
        [
            ("registered", registered | {"request_ids": [request_id]}),
            ("gated", {**named, "store": store.description, "passed": True, "rules": rules}),
        ]
    )
    unlearned_version = read_version(store, NAME, 2)
    assert unlearned_version is not None
    certificate = certify_version(PARAMS, Layout(root), store, unlearned_version, 1)
    store.client.set_model_version_tag(NAME, "2", "dlfd.certificate_digest", certificate)
    receipt = {
        "original_version": 1,
        "parent_version": 1,
        "manifest_digest": resolved["manifest_digest"],
        "gate": "passed",
    }
    write_json(root / "registry/version.json", registered | receipt)


def record_making(root: Path, manifest: Manifest, request: DeletionRequest, forget_list: ForgetList) -> None:
    """Write what the stages before register write into the ledger."""
    named = {"request_ids": [request.request_id], "forget_list_digest": forget_list.digest()}
    original, unlearned = (weights_digest(root / "models" / kind) for kind in ("original", "unlearned"))
    record = {"trained_on_digest": read_trained_on(Layout(root).trained_on).digest()}
    made = {"method": "dlfd", "params_digest": "e" * 64, "git_commit": "f" * 40}
    measured = {name: METRICS[name] for name in ("original", "unlearned")}
    evaluated = {"weights_digest": unlearned, "forget_list_digest": forget_list.digest(), "metrics": flatten(measured)}
    Ledger(root / "audit/ledger.jsonl").append_all(
        [
            ("received", received_data(request)),
            ("resolved", {**named, "forget_count": 1, "manifest_digest": manifest.digest(), **record}),
            ("unlearned", {**named, **made, "parent_weights_digest": original, "weights_digest": unlearned}),
            ("evaluated", evaluated),
        ]
    )
    sign_evidence(Layout(root), forget_list_digest=forget_list.digest(), manifest_digest=manifest.digest())


def edit_ledger(root: Path) -> None:
    """Change one fact of an event."""
    path = root / "audit/ledger.jsonl"
    path.write_text(path.read_text().replace('"gdpr"', '"ccpa"', 1))


def garble_ledger(root: Path) -> None:
    """Put a line in the place of an event that is none."""
    path = root / "audit/ledger.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(["not JSON\n", *lines[1:]]))


def replace_file(name: str, content: bytes) -> Callable[[Path], None]:
    """Return what puts a file in the place of another."""

    def tamper(root: Path) -> None:
        (root / name).unlink()
        (root / name).write_bytes(content)

    return tamper


def edit_receipt(root: Path) -> None:
    """Let the receipt name another run."""
    path = root / "registry/version.json"
    write_json(path, json.loads(path.read_text()) | {"run_id": "another"})
