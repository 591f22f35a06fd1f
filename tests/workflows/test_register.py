"""The register stage on a small repository with a real store."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from dlfd_ops.audit.certificates import version_certificate
from dlfd_ops.audit.facts import Receipt
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.data.manifest import Manifest, ManifestInfo, write_manifest
from dlfd_ops.data.trained_on import read_trained_on, trained_on, write_trained_on
from dlfd_ops.deletion.forget_list import ForgetList, ForgetRow, SampleCount, write_forget_list
from dlfd_ops.deletion.parent import Parent, write_parent
from dlfd_ops.deletion.requests import DeletionRequest, Target, derive_request_id, write_requests
from dlfd_ops.digest import sha256_file
from dlfd_ops.errors import BadInput, CheckFailed
from dlfd_ops.evaluation.results import Evaluated, flatten, read_json, write_evaluated
from dlfd_ops.models.checkpoint import save_classifier, weights_digest
from dlfd_ops.models.classifier import FaceClassifier, ModelCard
from dlfd_ops.params import Params, load_params
from dlfd_ops.tracking.runs import model_run
from dlfd_ops.tracking.store import open_store
from dlfd_ops.workflows.evidence import sign_evidence
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.register import register

PARAMS = Path(__file__).parents[2] / "params.yaml"
MODEL = "face-tiny"
KEY_ID = "0" * 16
METRICS: dict[str, dict[str, float]] = {
    "original": {"accuracy": 0.6, "mia_auc": 0.8, "mia_auc_error": 0.03, "nomus": 0.5},
    "unlearned": {"accuracy": 0.58, "mia_auc": 0.53, "mia_auc_error": 0.03, "nomus": 0.76},
    "seconds": {"train": 3.0, "unlearn": 1.0},
}


def batch(*rows: int) -> DeletionRequest:
    """Return a request about some rows of the small manifest."""
    target = Target(key_id=KEY_ID, sample_ids=tuple(f"{row:064x}" for row in rows))
    return DeletionRequest(
        **target.model_dump(),
        request_id=derive_request_id(target, 0),
        received_at=datetime(2026, 10, 5, tzinfo=UTC),
        due_at=date(2026, 11, 5),
        legal_basis="gdpr",
    )


BOTH, FIRST, LATER = batch(0, 1), batch(0), batch(4)
INTAKE = [BOTH, FIRST]
REQUESTS = tuple(sorted(request.request_id for request in INTAKE))
FORGET_LIST = ForgetList(
    rows=(ForgetRow(f"{0:064x}", REQUESTS), ForgetRow(f"{1:064x}", (BOTH.request_id,))),
    counts=dict(sorted({BOTH.request_id: SampleCount(2, 0), FIRST.request_id: SampleCount(1, 0)}.items())),
)
REGISTER = """
import sys
from pathlib import Path
from dlfd_ops.params import Params
from dlfd_ops.workflows.register import register
root = Path(sys.argv[1])
print(register(Params.model_validate_json((root / "params.json").read_text()), root).version)
"""
SERVE = """
import sys
sys.modules["dlfd_ops"] = None  # from here on, importing it fails
import mlflow, numpy as np
mlflow.set_tracking_uri(sys.argv[1])
print(np.asarray(mlflow.pyfunc.load_model(sys.argv[2]).predict(np.zeros((3, 3, 32, 32), np.float32))).shape)
"""


@pytest.fixture(scope="module", autouse=True)
def _embedded_store() -> Iterator[None]:
    """No test reaches a store outside of its own folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


def small_params(**policy: float) -> Params:
    """Return the shipped parameters for the small data set, with another policy."""
    content = load_params(PARAMS).model_dump(by_alias=True)
    content["base"].update({"dataset": "tiny", "labels": ["gender"], "image_size": 32})
    content["register"]["model_name"] = MODEL
    content["register"]["policy"].update(policy)
    return Params.model_validate(content)


def small_manifest(root: Path) -> Manifest:
    """Return five samples of five people."""
    splits = ["train", "train", "anchor", "validation", "test"]
    rows = pd.DataFrame(
        {
            "sample_id": [f"{row:064x}" for row in range(5)],
            "path": [f"images/00/{row:064x}.png" for row in range(5)],
            "subject_key": [f"{row + 16:064x}" for row in range(5)],
            "split": splits,
            "gender": [0, 1, 0, 1, 0],
        }
    )
    return Manifest(rows, ManifestInfo("tiny", KEY_ID, 32, {"gender": ("female", "male")}), root / "data/prepared")


def make_repository(root: Path) -> Path:
    """Write everything that the stage reads."""
    card = ModelCard("resnet18", ("gender",), {"gender": ("female", "male")}, 32)
    for seed, model in enumerate(("original", "unlearned")):
        torch.manual_seed(seed)
        save_classifier(FaceClassifier(card), root / "models" / model)
    write_manifest(small_manifest(root), root / "data/prepared/manifest.parquet")
    write_trained_on(trained_on(small_manifest(root).split("train")), Layout(root).trained_on)
    write_forget_list(root / "deletion/forget_list.parquet", FORGET_LIST)
    write_requests(root / "deletion/requests.csv", INTAKE)
    write_parent(root / "deletion/parent.json", Parent())
    write_evaluated(evaluated(root), root / "metrics/evaluated.json")
    write_json(root / "metrics/unlearning.json", METRICS)
    write_json(root / "metrics/unlearn.json", {"seconds": 1.0, "method": "dlfd/anchored"})
    record_making(root)
    return root


def evaluated(root: Path) -> Evaluated:
    """Return what the numbers of the small repository were measured on."""
    return Evaluated(weights_digest(root / "models/unlearned"), FORGET_LIST.digest(), small_manifest(root).digest())


def record_making(root: Path) -> None:
    """Write what the stages before write into the ledger, and sign the numbers."""
    named = {"request_ids": list(REQUESTS), "forget_list_digest": FORGET_LIST.digest()}
    original, unlearned = (weights_digest(root / "models" / kind) for kind in ("original", "unlearned"))
    made = {"method": "dlfd/anchored", "params_digest": "e" * 64, "git_commit": "unknown"}
    measured = flatten({name: METRICS[name] for name in ("original", "unlearned")})
    Ledger(root / "audit/ledger.jsonl").append_all(
        [
            ("resolved", {**named, "forget_count": 2, **data_digests(root)}),
            ("unlearned", {**named, **made, "parent_weights_digest": original, "weights_digest": unlearned}),
            (
                "evaluated",
                {"weights_digest": unlearned, "forget_list_digest": FORGET_LIST.digest(), "metrics": measured},
            ),
        ]
    )
    sign(root, FORGET_LIST)


def data_digests(root: Path) -> dict[str, str]:
    """Return what the ledger says of the data that requests were resolved in."""
    record = read_trained_on(Layout(root).trained_on)
    return {"manifest_digest": small_manifest(root).digest(), "trained_on_digest": record.digest()}


def sign(root: Path, forget_list: ForgetList) -> None:
    """Sign the numbers as measured on a forget list."""
    manifest_digest = small_manifest(root).digest()
    sign_evidence(Layout(root), forget_list_digest=forget_list.digest(), manifest_digest=manifest_digest)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that nothing was registered from."""
    return make_repository(tmp_path_factory.mktemp("inputs"))


@pytest.fixture
def unregistered(inputs: Path, tmp_path: Path) -> Path:
    """A copy of that repository."""
    return Path(shutil.copytree(inputs, tmp_path / "repository"))


@pytest.fixture(scope="module")
def registered(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Receipt, str]:
    """A repository with both versions, its receipt, and the run that trained the original."""
    root = Path(shutil.copytree(inputs, tmp_path_factory.mktemp("registered") / "repository"))
    with model_run(small_params(), "original", manifest=small_manifest(root), root=root) as run:
        run.set_weights(root / "models/original")
    return root, register(small_params(), root), run.run_id


def tags(root: Path, version: int) -> dict[str, str]:
    """Return the tags of a version."""
    return dict(open_store(root).client.get_model_version(MODEL, str(version)).tags)


def aliases(root: Path) -> dict[str, str]:
    """Return the aliases of the model."""
    found = open_store(root).client.get_registered_model(MODEL).aliases
    return {name: str(version) for name, version in found.items()}


def test_original_is_version_1_and_unlearned_version_2(registered: tuple[Path, Receipt, str]) -> None:
    """The lineage begins with the original; the receipt names both and matches the file."""
    root, receipt, _ = registered
    assert (receipt.original_version, receipt.version, receipt.gate) == (1, 2, "passed")
    assert receipt.store == "sqlite:///mlflow.db"
    assert json.loads((root / "registry/version.json").read_text()) == receipt.model_dump()
    assert aliases(root) == {"candidate": "2"}


def test_unlearned_version_carries_every_tag(registered: tuple[Path, Receipt, str]) -> None:
    """The tags of the outside contract stand on the version."""
    root, receipt, _ = registered
    found = tags(root, 2)
    assert len(found.pop("dlfd.registration_key")) == 64
    assert found.pop("dlfd.ledger_head") in {event.hash for event in Ledger(root / "audit/ledger.jsonl").events()}
    certificate = root / version_certificate(MODEL, 2)
    assert found.pop("dlfd.certificate_digest") == sha256_file(certificate)
    assert found == {
        "dlfd.method": "dlfd/anchored",
        "dlfd.request_ids": ",".join(REQUESTS),
        "dlfd.forget_list_digest": FORGET_LIST.digest(),
        "dlfd.forget_count": "2",
        "dlfd.manifest_digest": small_manifest(root).digest(),
        "dlfd.dvc_lock_digest": "unknown",
        "dlfd.git_commit": "unknown",
        "dlfd.git_dirty": "unknown",
        "dlfd.parent_version": "1",
        "dlfd.unlearnings": "1",
        "dlfd.gate": "passed",
        "dlfd.weights_digest": weights_digest(root / "models/unlearned"),
    }
    assert (receipt.weights_digest, receipt.forget_list_digest, receipt.manifest_digest) == (
        found["dlfd.weights_digest"],
        found["dlfd.forget_list_digest"],
        found["dlfd.manifest_digest"],
    )


def test_original_version_is_known_as_such(registered: tuple[Path, Receipt, str]) -> None:
    """The root of the lineage names no requests and no gate."""
    root, _, _ = registered
    found = tags(root, 1)
    assert found["dlfd.method"] == "original"
    assert found["dlfd.weights_digest"] == weights_digest(root / "models/original")
    assert not {"dlfd.request_ids", "dlfd.gate", "dlfd.parent_version"} & set(found)


def test_versions_hang_on_the_runs_that_made_them(registered: tuple[Path, Receipt, str]) -> None:
    """The original's run is the training's; its numbers are comparable with the unlearned run's by name."""
    root, receipt, trained = registered
    client = open_store(root).client
    assert client.get_model_version(MODEL, "1").run_id == trained
    assert client.get_model_version(MODEL, "2").run_id == receipt.run_id
    assert client.get_run(trained).data.metrics["evaluation/mia_auc"] == 0.8
    assert client.get_run(receipt.run_id).data.metrics["evaluation/mia_auc"] == 0.53


def test_ledger_records_registration_and_gate(registered: tuple[Path, Receipt, str]) -> None:
    """Both events name the version, with digests, requests and every rule."""
    root, receipt, _ = registered
    events = Ledger(root / "audit/ledger.jsonl").events()
    registration, gate = (next(event for event in events if event.kind == kind) for kind in ("registered", "gated"))
    assert registration.kind == "registered"
    assert registration.data == {
        "model_name": MODEL,
        "version": 2,
        "run_id": receipt.run_id,
        "weights_digest": receipt.weights_digest,
        "forget_list_digest": receipt.forget_list_digest,
        "request_ids": list(REQUESTS),
        "store": "sqlite:///mlflow.db",
        "provenance": registration.data["provenance"],
    }
    assert set(registration.data["provenance"]) == {"dlfd.git_commit", "dlfd.git_dirty", "dlfd.dvc_lock_digest"}
    assert (gate.kind, gate.data["passed"]) == ("gated", True)
    assert {rule["rule"] for rule in gate.data["rules"]} == {
        "max_accuracy_drop",
        "max_attack_auc_excess",
        "max_overshoot",
        "max_attack_auc_error",
        "min_evidence",
        "max_sequential_unlearnings",
        "require_complete",
    }


def test_running_twice_makes_one_version(registered: tuple[Path, Receipt, str]) -> None:
    """The same inputs lead to the same receipt, versions, models and events."""
    root, receipt, _ = registered
    store = open_store(root)
    before = Ledger(root / "audit/ledger.jsonl").head()
    assert register(small_params(), root) == receipt
    assert Ledger(root / "audit/ledger.jsonl").head() == before
    assert len(store.client.search_model_versions(f"name = '{MODEL}'")) == 2
    assert len(store.client.search_logged_models([store.experiment_id("dlfd-tiny")])) == 2
    assert len(store.client.search_runs([store.experiment_id("dlfd-tiny")])) == 2


def served_file(root: Path, version: int) -> Path:
    """Return where the store keeps the model file of a version."""
    model_id = str(open_store(root).client.get_model_version(MODEL, str(version)).source).removeprefix("models:/")
    (found,) = (root / "mlartifacts").rglob(f"{model_id}/artifacts/data/model.pt2")
    return found


def test_what_was_looked_into_may_be_packaged_otherwise_later(registered: tuple[Path, Receipt, str]) -> None:
    """A newer torch writes other bytes: a certified version and the original before it are not compared again."""
    root, receipt, _ = registered
    kept = {path: path.read_bytes() for path in (served_file(root, 1), served_file(root, 2))}
    try:
        for path in kept:
            path.write_bytes(b"as another torch packages it")
        assert register(small_params(), root) == receipt
    finally:
        for path, content in kept.items():
            path.write_bytes(content)


@pytest.mark.slow
def test_a_model_that_was_changed_before_its_certificate_is_not_certified(
    unregistered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the version was made: what lies there then is looked into before anybody signs what it is."""

    def break_off(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("dlfd_ops.workflows.register.certify_version", break_off)
        with pytest.raises(KeyboardInterrupt):
            register(small_params(), unregistered)
    served = served_file(unregistered, 2)
    kept = served.read_bytes()
    served.write_bytes(served_file(unregistered, 1).read_bytes())
    with pytest.raises(CheckFailed, match=r"version 2, which differs: \['data/model\.pt2'\]"):
        register(small_params(), unregistered)
    certificate = unregistered / version_certificate(MODEL, 2)
    assert not certificate.exists()
    served.write_bytes(kept)
    assert register(small_params(), unregistered).version == 2
    assert certificate.exists()


def test_another_policy_changes_the_decision_and_not_the_version(registered: tuple[Path, Receipt, str]) -> None:
    """A version that no longer passes loses tag and alias, is said to fail, and gets both back when it passes."""
    root, receipt, _ = registered
    refused = register(small_params(max_attack_auc_excess=0.01), root)
    assert refused == receipt.model_copy(update={"gate": "failed"})
    assert tags(root, 2)["dlfd.gate"] == "failed"
    assert aliases(root) == {}
    assert "FAILED" in (open_store(root).client.get_model_version(MODEL, "2").description or "")
    verdicts = [event for event in Ledger(root / "audit/ledger.jsonl").events() if event.kind == "gated"]
    assert verdicts[-1].data["passed"] is False
    assert register(small_params(), root) == receipt
    assert tags(root, 2)["dlfd.gate"] == "passed"
    assert aliases(root) == {"candidate": "2"}


def test_request_without_training_samples_gets_a_version_that_answers_it(
    registered: tuple[Path, Receipt, str],
) -> None:
    """A further request that changes neither weights nor forget list is named by a version of its own."""
    root, _, _ = registered
    write_requests(root / "deletion/requests.csv", [*INTAKE, LATER])
    wider = replace(FORGET_LIST, counts={**FORGET_LIST.counts, LATER.request_id: SampleCount(0, 1)})
    write_forget_list(root / "deletion/forget_list.parquet", wider)
    listed = {"request_ids": list(wider.request_ids), "forget_list_digest": wider.digest(), "forget_count": len(wider)}
    Ledger(root / "audit/ledger.jsonl").append("resolved", listed | data_digests(root))
    try:
        receipt = register(small_params(), root)
    finally:
        write_forget_list(root / "deletion/forget_list.parquet", FORGET_LIST)
        write_requests(root / "deletion/requests.csv", INTAKE)
    assert (receipt.original_version, receipt.version) == (1, 3)
    assert tags(root, 3)["dlfd.request_ids"].split(",") == sorted((*REQUESTS, LATER.request_id))


def failed_rules(root: Path) -> dict[str, float | None]:
    """Register, and return the rules that failed in the ledger's last decision, with their values."""
    assert register(small_params(), root).gate == "failed"
    verdicts = [event for event in Ledger(root / "audit/ledger.jsonl").events() if event.kind == "gated"]
    return {rule["rule"]: rule["value"] for rule in verdicts[-1].data["rules"] if not rule["passed"]}


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        ({"weights_digest": "f" * 64}, {"min_evidence": 0.0}),
        ({"manifest_digest": "f" * 64}, {"min_evidence": 0.0}),
        ({"forget_list_digest": "f" * 64}, {"require_complete": 2.0}),
        (None, {"min_evidence": 0.0, "require_complete": 2.0}),
    ],
)
def test_numbers_of_something_else_do_not_pass(
    registered: tuple[Path, Receipt, str], change: dict[str, str] | None, failed: dict[str, float]
) -> None:
    """Metrics of other weights or data are no evidence, and a list that was not evaluated is left out; none is both."""
    root, _, _ = registered
    path = root / "metrics/evaluated.json"
    if change is None:
        path.unlink()
    else:
        write_evaluated(replace(evaluated(root), **change), path)
    try:
        assert failed_rules(root) == failed
    finally:
        write_evaluated(evaluated(root), path)


def test_a_request_that_the_forget_list_lacks_fails_the_gate(registered: tuple[Path, Receipt, str]) -> None:
    """Filed after the list was drawn up: its id and its photo are left out, and the version is no candidate."""
    root, _, _ = registered
    rows = FORGET_LIST.rows[:1]
    counts = {name: SampleCount(sum(name in row.request_ids for row in rows), 0) for name in FORGET_LIST.counts}
    shorter = ForgetList(rows, counts)
    write_forget_list(root / "deletion/forget_list.parquet", shorter)
    write_requests(root / "deletion/requests.csv", [*INTAKE, LATER])
    write_evaluated(replace(evaluated(root), forget_list_digest=shorter.digest()), root / "metrics/evaluated.json")
    data = {"request_ids": list(REQUESTS), "forget_list_digest": shorter.digest(), "forget_count": 1}
    Ledger(root / "audit/ledger.jsonl").append("resolved", data | data_digests(root))
    sign(root, shorter)
    try:
        assert failed_rules(root) == {"require_complete": 2.0}
        assert aliases(root).get("candidate") != str(read_json(root / "registry/version.json")["version"])
    finally:
        write_forget_list(root / "deletion/forget_list.parquet", FORGET_LIST)
        write_requests(root / "deletion/requests.csv", INTAKE)
        write_evaluated(evaluated(root), root / "metrics/evaluated.json")
        sign(root, FORGET_LIST)
        register(small_params(), root)


@pytest.mark.slow
def test_registered_version_serves_without_this_package(registered: tuple[Path, Receipt, str], tmp_path: Path) -> None:
    """Plain MLflow, elsewhere, loads the version by its name."""
    root, _, _ = registered
    uri = open_store(root).uri
    served = subprocess.run(
        [sys.executable, "-c", SERVE, uri, f"models:/{MODEL}/2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert served.stdout.split("\n")[-2] == "(3, 2)"


@pytest.mark.slow
def test_two_at_once_on_a_fresh_store_make_one_version(unregistered: Path) -> None:
    """Two stages that start together leave the original, one unlearned version and one set of events."""
    (unregistered / "params.json").write_text(small_params().model_dump_json(by_alias=True))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", REGISTER, str(unregistered)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    try:
        outputs = [process.communicate() for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert [output[0].split()[-1] for output in outputs] == ["2", "2"]
    assert len(open_store(unregistered).client.search_model_versions(f"name = '{MODEL}'")) == 2
    told = [event.kind for event in Ledger(unregistered / "audit/ledger.jsonl").events()]
    assert told[-3:] == ["registered", "gated", "certified"]
    assert len(told) == 7


def test_method_must_be_named(unregistered: Path) -> None:
    """Without the method's name there is no version to describe."""
    write_json(unregistered / "metrics/unlearn.json", {"seconds": 1.0})
    with pytest.raises(BadInput, match="must name the method"):
        register(small_params(), unregistered)


@pytest.mark.parametrize("weights", [True, False])
def test_the_pinned_weights_must_be_there(unregistered: Path, weights: bool) -> None:
    """A lineage that is not true is not written: other weights than those pinned, or none."""
    pinned = Parent(kind="version", version=1, weights_digest="f" * 64, unlearnings=1, covers=("req-000000000000",))
    write_parent(unregistered / "deletion/parent.json", pinned)
    if weights:
        shutil.copytree(unregistered / "models/original", unregistered / "models/parent")
    with pytest.raises(BadInput, match="must start from the pinned parent"):
        register(small_params(), unregistered)
    assert not (unregistered / "registry").exists()


@pytest.mark.parametrize(
    "missing",
    ["metrics/unlearning.json", "models/unlearned/model.json", "deletion/parent.json", "deletion/requests.csv"],
)
def test_missing_input_is_bad_input(unregistered: Path, missing: str) -> None:
    """Whatever the stage reads is named when it is not there, before anything is registered."""
    (unregistered / missing).unlink()
    with pytest.raises(BadInput):
        register(small_params(), unregistered)
    assert not (unregistered / "registry").exists()
