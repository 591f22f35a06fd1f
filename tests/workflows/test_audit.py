"""The audit on a repository that the register stage has left behind, with a real ledger and a real MLflow store."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from mlflow import MlflowClient

from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.audit.report import Report
from dlfd_ops.cli.audit import audit
from dlfd_ops.cli.output import OneLineErrors
from dlfd_ops.data.identity import load_key
from dlfd_ops.data.manifest import Manifest, ManifestInfo, write_manifest
from dlfd_ops.data.trained_on import read_trained_on, trained_on, write_trained_on
from dlfd_ops.deletion.forget_list import ForgetList, ForgetRow, SampleCount, read_forget_list, write_forget_list
from dlfd_ops.deletion.parent import Parent, write_parent
from dlfd_ops.deletion.requests import DeletionRequest, Target, derive_request_id, read_requests, write_requests
from dlfd_ops.deletion.status import received_data
from dlfd_ops.digest import sha256_json
from dlfd_ops.errors import BadInput, CheckFailed
from dlfd_ops.evaluation.results import flatten
from dlfd_ops.models.checkpoint import save_classifier, weights_digest
from dlfd_ops.models.classifier import FaceClassifier, ModelCard
from dlfd_ops.params import load_params
from dlfd_ops.tracking.store import Store, open_store
from dlfd_ops.tracking.versions import read_version
from dlfd_ops.workflows.audit import report, verify
from dlfd_ops.workflows.certify import certify_version
from dlfd_ops.workflows.evidence import sign_evidence
from dlfd_ops.workflows.layout import Layout
from dlfd_ops.workflows.register import register

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
    manifest = _manifest(root)
    request = _request(manifest)
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
    _write_json(root / "metrics/unlearning.json", METRICS)
    _write_json(root / "metrics/unlearn.json", {"method": "dlfd", "seconds": 40.0})
    _write_losses(root / "plots/losses.csv")
    _record(root, manifest, request, forget_list)
    return root


@pytest.fixture(scope="module")
def registered(evaluated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with both versions in a real store, without the time that packaging the models takes."""
    root = _copy(evaluated, tmp_path_factory.mktemp("registered") / "repository")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        _register(root, open_store(root))
    return root


@pytest.fixture
def repository(registered: Path, tmp_path: Path) -> Path:
    """A copy of the registered repository, to be tampered with."""
    return _copy(registered, tmp_path / "repository")


def test_what_was_registered_agrees(repository: Path) -> None:
    """Where nothing was changed nothing differs, in the files and in MLflow; the original is checked too."""
    outcome = verify(repository)
    assert outcome.findings == ()
    assert {f"MLflow {NAME} version 1", f"MLflow {NAME} version 2", "audit/ledger.jsonl"} <= set(outcome.checked)


@pytest.mark.slow
def test_what_the_register_stage_leaves_agrees(evaluated: Path, tmp_path: Path) -> None:
    """The stage's own tags, receipt and events are those that the verification expects."""
    root = _copy(evaluated, tmp_path / "repository")
    register(PARAMS, root)
    outcome = verify(root)
    assert outcome.findings == ()
    assert f"MLflow {NAME} version 2" in outcome.checked


def test_a_parent_that_covers_more_than_the_ledger_says_registers_nothing(evaluated: Path, tmp_path: Path) -> None:
    """Else one edit of a file would fulfil a request that never was on a forget list."""
    root = _copy(evaluated, tmp_path / "repository")
    write_parent(root / "deletion/parent.json", Parent(covers=(OTHER,)))
    with pytest.raises(CheckFailed, match=rf"the ledger explains; received deletion/parent.json covers.*{OTHER}"):
        register(PARAMS, root)
    assert not (root / "registry/version.json").exists()


def _edit_ledger(root: Path) -> None:
    path = root / "audit/ledger.jsonl"
    path.write_text(path.read_text().replace('"gdpr"', '"ccpa"', 1))


def _cut_ledger(root: Path) -> None:
    path = root / "audit/ledger.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:1], *lines[2:]]))


def _garble_ledger(root: Path) -> None:
    path = root / "audit/ledger.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(["not JSON\n", *lines[1:]]))


def _replace(name: str, content: bytes) -> Callable[[Path], None]:
    def tamper(root: Path) -> None:
        (root / name).unlink()
        (root / name).write_bytes(content)

    return tamper


def _empty_forget_list(root: Path) -> None:
    write_forget_list(root / "deletion/forget_list.parquet", ForgetList((), {}))


def _other_manifest(root: Path) -> None:
    _manifest(root, size=64)


def _edit_receipt(root: Path) -> None:
    path = root / "registry/version.json"
    _write_json(path, json.loads(path.read_text()) | {"run_id": "another"})


def _pin(parent: Parent) -> Callable[[Path], None]:
    def tamper(root: Path) -> None:
        write_parent(root / "deletion/parent.json", parent)

    return tamper


def _claim_request(root: Path) -> None:
    path = root / "deletion/forget_list.parquet"
    found = read_forget_list(path)
    write_forget_list(path, replace(found, counts=found.counts | {OTHER: SampleCount(0, 2)}))


def _invent_number(root: Path) -> None:
    path = root / "metrics/unlearning.json"
    metrics = json.loads(path.read_text())
    _write_json(path, metrics | {"unlearned": metrics["unlearned"] | {"rmia_auc": 0.5}})


def _tag(version: int, name: str, value: str) -> Callable[[Path], None]:
    def tamper(root: Path) -> None:
        _client(root).set_model_version_tag(NAME, str(version), name, value)

    return tamper


def _delete(version: int) -> Callable[[Path], None]:
    def tamper(root: Path) -> None:
        _client(root).delete_model_version(NAME, str(version))

    return tamper


@pytest.mark.parametrize(
    ("tamper", "what"),
    [
        (_edit_ledger, "audit/ledger.jsonl line 1 "),
        (_cut_ledger, "audit/ledger.jsonl line 2 "),
        (_garble_ledger, "audit/ledger.jsonl line 1 "),
        (_replace("models/original/weights.safetensors", b"x"), "models/original/weights.safetensors"),
        (_replace("models/unlearned/weights.safetensors", b"x"), "models/unlearned/weights.safetensors"),
        (_replace("deletion/forget_list.parquet", b"x"), "deletion/forget_list.parquet"),
        (_empty_forget_list, "deletion/forget_list.parquet"),
        (_other_manifest, "data/prepared/manifest.parquet"),
        (_replace("deletion/requests.csv", b"x"), "deletion/requests.csv"),
        (_replace("metrics/unlearning.json", b"{}"), "metrics/unlearning.json original.accuracy"),
        (_invent_number, "metrics/unlearning.json unlearned.rmia_auc"),
        (_claim_request, "deletion/forget_list.parquet requests"),
        (_pin(Parent(covers=(OTHER,))), "deletion/parent.json covers"),
        (_pin(Parent(excluded=(OTHER,))), "deletion/parent.json excluded"),
        (_edit_receipt, "registry/version.json run_id"),
        (_replace("registry/version.json", b"{}"), "registry/version.json"),
        (_tag(2, "dlfd.gate", "failed"), f"MLflow {NAME} version 2 dlfd.gate"),
        (_tag(2, "dlfd.request_ids", ""), f"MLflow {NAME} version 2 dlfd.request_ids"),
        (_tag(2, "dlfd.git_commit", "0"), f"MLflow {NAME} version 2 dlfd.git_commit"),
        (_tag(2, "dlfd.parent_version", "7"), f"MLflow {NAME} version 2 dlfd.parent_version"),
        (_tag(2, "dlfd.registration_key", "0"), f"MLflow {NAME} version 2 dlfd.registration_key"),
        (_tag(1, "dlfd.weights_digest", "0"), f"MLflow {NAME} version 1 dlfd.weights_digest"),
        (_tag(2, "dlfd.ledger_head", "0" * 63 + "1"), f"MLflow {NAME} version 2 dlfd.ledger_head"),
        (_delete(2), f"MLflow {NAME} version 2"),
        (_delete(1), f"MLflow {NAME} version 1"),
    ],
)
def test_tampering_is_found(repository: Path, tamper: Callable[[Path], None], what: str) -> None:
    """One change anywhere makes the first finding, which names the place."""
    tamper(repository)
    findings = verify(repository).findings
    assert findings
    assert findings[0].what.startswith(what)


def test_a_head_that_was_noted_binds_the_past(repository: Path) -> None:
    """A ledger written anew, consistent in itself, is found by whoever noted an earlier head."""
    ledger = Ledger(repository / "audit/ledger.jsonl")
    noted = ledger.head()
    ledger.append("acknowledged", {"request_id": "req-00000000000a"})
    assert verify(repository, expected_head=noted).findings == ()
    events = ledger.events()
    ledger.path.unlink()
    for event in events[1:]:
        ledger.append(event.kind, event.data)
    (finding,) = [f for f in verify(repository, expected_head=noted).findings if "recorded elsewhere" in f.what]
    assert finding.expected == noted


def test_a_head_that_is_no_hash_is_bad_input(repository: Path) -> None:
    """A mistyped head is told from a ledger that was changed."""
    with pytest.raises(BadInput, match="64 lower-case hex digits"):
        verify(repository, expected_head="abc")


def test_the_registry_holds_a_checkpoint_of_the_ledger(repository: Path) -> None:
    """The head that a version carries must stand in the chain: a ledger written anew is found without a noted head."""
    ledger = Ledger(repository / "audit/ledger.jsonl")
    _client(repository).set_model_version_tag(NAME, "2", "dlfd.ledger_head", ledger.head())
    ledger.append("acknowledged", {"request_id": "req-00000000000a"})
    assert verify(repository).findings == ()
    events = ledger.events()
    ledger.path.unlink()
    ledger.append_all([(event.kind, event.data) for event in events])
    assert [finding.what for finding in verify(repository).findings] == [
        f"audit/certificates/{NAME}-v2.json predicate.model.registered_at",
        f"audit/certificates/{NAME}-v2.json predicate.ledger.head",
        f"MLflow {NAME} version 2 dlfd.ledger_head",
    ]


def test_a_ledger_that_is_cut_before_a_version_lacks_its_head(repository: Path) -> None:
    """A version that no event names tells by its head what the ledger once held; one without a head tells nothing."""
    ledger, client = Ledger(repository / "audit/ledger.jsonl"), _client(repository)
    client.create_model_version(NAME, str(client.get_model_version(NAME, "2").source))
    assert verify(repository).findings == ()
    complete = ledger.path.read_bytes()
    ledger.append("acknowledged", {"request_id": "req-00000000000a"})
    client.set_model_version_tag(NAME, "3", "dlfd.ledger_head", ledger.head())
    assert verify(repository).findings == ()
    ledger.path.write_bytes(complete)
    outcome = verify(repository)
    assert outcome.findings == ()  # it may be another clone's
    assert any(f"MLflow {NAME} version 3: no event names it" in line for line in outcome.not_checked)


def test_versions_in_another_store_are_named_not_guessed(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With another store in use nothing is said about the versions of the first, except that they were not checked."""
    elsewhere = shutil.copyfile(repository / "mlflow.db", tmp_path / "other.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{elsewhere}")
    outcome = verify(repository)
    assert outcome.findings == ()
    assert any("version 2: it is in sqlite:///mlflow.db" in line for line in outcome.not_checked)


def test_before_the_registration_what_exists_is_checked(repository: Path) -> None:
    """Without versions the store is not even opened, and the files are still compared."""
    ledger = Ledger(repository / "audit/ledger.jsonl")
    early = [event for event in ledger.events() if event.kind in ("received", "resolved")]
    ledger.path.unlink()
    ledger.append_all([(event.kind, event.data) for event in early])
    for name in ("registry/version.json", "mlflow.db"):
        (repository / name).unlink()
    for name in ("audit/certificates", "audit/keys"):
        shutil.rmtree(repository / name)
    outcome = verify(repository)
    assert outcome.findings == ()
    assert "deletion/forget_list.parquet" in outcome.checked
    assert any(line.startswith("MLflow: no version") for line in outcome.not_checked)
    assert not (repository / "mlflow.db").exists()
    _empty_forget_list(repository)
    assert [finding.what for finding in verify(repository).findings] == ["deletion/forget_list.parquet"]


def test_without_a_ledger_there_is_nothing_to_audit(tmp_path: Path) -> None:
    """Both workflows refuse with one line."""
    with pytest.raises(BadInput, match=r"ledger\.jsonl must exist"):
        verify(tmp_path)
    with pytest.raises(BadInput, match=r"ledger\.jsonl must exist"):
        report(PARAMS, tmp_path)


def test_the_report_shows_the_registered_version(repository: Path) -> None:
    """Page and document are written from the same report, and nothing differs."""
    (repository / "data/raw.dvc").write_text(f"outs:\n- md5: {'a' * 32}.dir\n  path: raw\n")
    written = report(PARAMS, repository, as_of=date(2026, 11, 20))
    document = Report.model_validate_json((repository / "audit/report.json").read_text())
    assert document == written
    states = {row.part: row.state for row in written.summary.agreement}
    agree = dict.fromkeys(("chain", "files", "certificates"), "agrees")
    assert states == agree | {"stores": "not checked", "registry": "not checked"}
    assert [node.version for node in written.lineage] == [1, 2]
    assert written.data.raw_digest == f"{'a' * 32}.dir"
    assert written.losses is not None
    assert written.requests[0].samples == 1
    page = (repository / "audit/report.html").read_text()
    assert written.summary.ledger.head in page
    assert weights_digest(repository / "models/unlearned") in page


def test_the_stage_is_reproducible_and_appends_nothing(repository: Path) -> None:
    """By the last event's date, twice the same bytes, and the ledger untouched."""
    ledger = Ledger(repository / "audit/ledger.jsonl")
    before, last = ledger.path.read_bytes(), ledger.events()[-1]
    pages = set()
    for _ in range(2):
        assert report(PARAMS, repository).as_of == date.fromisoformat(last.at[:10])
        pages.add((repository / "audit/report.html").read_bytes())
    assert len(pages) == 1
    assert ledger.path.read_bytes() == before


def test_the_report_of_a_tampered_repository_says_so(repository: Path) -> None:
    """A broken chain and a replaced weight file do not stop the report: they stand in it."""
    _edit_ledger(repository)
    _replace("models/unlearned/weights.safetensors", b"x")(repository)
    written = report(PARAMS, repository)
    assert written.summary.state("chain") == written.summary.state("files") == "differs"
    (files,) = [row for row in written.summary.agreement if row.part == "files"]
    assert any(line.startswith("models/unlearned") for line in files.findings)


@pytest.mark.parametrize("rows", ["model,set\n", "model,set,loss\noriginal,test,nan\n", "model,set,loss\noriginal\n"])
def test_damaged_losses_are_bad_input(repository: Path, rows: str) -> None:
    """A figure is never drawn from half a file: the line is named."""
    (repository / "plots/losses.csv").write_text(rows)
    with pytest.raises(BadInput, match=r"losses\.csv line [12] must"):
        report(PARAMS, repository)


def test_a_report_needs_a_readable_ledger(repository: Path) -> None:
    """A line that is no event stops the report."""
    _garble_ledger(repository)
    with pytest.raises(CheckFailed, match="line 1"):
        report(PARAMS, repository)


def test_the_commands_answer_with_the_contract_s_status(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 and JSON where all agrees, 1 and a line for each difference, 2 and one line without a ledger."""
    shutil.copyfile(Path(__file__).parents[2] / "params.yaml", repository / "params.yaml")
    monkeypatch.chdir(repository)
    assert _run("verify").exit_code == 0
    answer = json.loads(_run("verify", "--json").stdout)
    assert answer["holds"] is True
    assert answer["findings"] == []
    made = _run("report", "--as-of", "2026-11-20", "--json")
    assert (made.exit_code, json.loads(made.stdout)["as_of"]) == (0, "2026-11-20")
    assert "audit/report.html" in _run("report").stdout
    _edit_receipt(repository)
    changed = _run("verify")
    assert changed.exit_code == 1
    assert "differs      registry/version.json run_id: expected" in changed.stdout
    assert json.loads(_run("verify", "--json").stdout)["findings"][0]["found"] == "another"
    (repository / "audit/ledger.jsonl").unlink()
    missing = _run("verify")
    assert (missing.exit_code, missing.stderr.count("\n")) == (2, 1)


def test_an_auditor_gets_answers(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """About a request, a version, and everything; MLflow says where the versions are."""
    shutil.copyfile(Path(__file__).parents[2] / "params.yaml", repository / "params.yaml")
    monkeypatch.chdir(repository)
    _client(repository).set_registered_model_alias(NAME, "champion", "2")
    (request_id,) = [row["request_id"] for row in json.loads(_run("show", "--json").stdout)["requests"]]
    found = json.loads(_run("show", "--request", request_id, "--json").stdout)
    assert [(ref["version"], ref["place"]) for ref in found["knew"]] == [(1, "archived")]
    assert [(ref["version"], ref["place"]) for ref in found["forgot"]] == [(2, "serving")]
    version = json.loads(_run("show", "--version", "2", "--json").stdout)
    assert version["forgotten"] == [request_id]
    assert [node["version"] for node in version["lineage"]] == [2, 1]
    _client(repository).delete_model_version(NAME, "1")
    shown = _run("show", "--request", request_id).stdout
    assert "knew them     version 1 (deleted)" in shown
    assert "forgot them   version 2 (serving)" in shown
    assert "version 2      serving" in _run("show", "--version", "2").stdout
    overall = _run("show")
    assert (overall.exit_code, "registry      differs" in overall.stdout) == (0, True)


def test_an_image_in_hand_is_recognised(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the keyed hash of its bytes, whatever it is called; other bytes are unknown; the file is never decoded."""
    shutil.copyfile(Path(__file__).parents[2] / "params.yaml", repository / "params.yaml")
    monkeypatch.chdir(repository)
    monkeypatch.setenv("DLFD_SECRET_KEY", "ab" * 32)
    key = load_key()
    (repository / "deletion/key_id.txt").write_text(f"{key.key_id}\n")
    Path("face.png").write_bytes(b"no image at all")
    assert json.loads(_run("show", "--image", "face.png", "--json").stdout)["verdict"] == "unknown"
    row = ForgetRow(key.sample_id(b"no image at all"), (_only_request(repository),))
    write_forget_list(Path("deletion/forget_list.parquet"), ForgetList((row,), {row.request_ids[0]: SampleCount(1, 0)}))
    answer = json.loads(_run("show", "--image", "face.png", "--json").stdout)
    assert (answer["verdict"], [ref["version"] for ref in answer["forgot"]]) == ("forgotten", [2])
    assert "forgotten: a fulfilled request covers it" in _run("show", "--image", "face.png").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--request", "Jane Doe"],
        ["--request", "req-ffffffffffff"],
        ["--version", "7"],
        ["--version", "0"],
        ["--image", "missing.png"],
        ["--image", "params.yaml"],
        ["--version", "2", "--request", "req-ffffffffffff"],
    ],
    ids=" ".join,
)
def test_a_question_without_an_answer_is_one_line(
    repository: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """What nobody filed or registered, a missing file, a missing key: status 2, and no identity."""
    shutil.copyfile(Path(__file__).parents[2] / "params.yaml", repository / "params.yaml")
    monkeypatch.chdir(repository)
    result = _run("show", *arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert "Jane" not in result.stderr


def test_a_report_without_the_registry_says_so(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that does not answer stops neither report nor answers: it is not checked, with the reason."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    written = report(PARAMS, repository, ask_registry=True)
    (registry,) = [row for row in written.summary.agreement if row.part == "registry"]
    assert registry.state == "not checked"
    assert "must answer" in registry.not_checked[0]


def _only_request(root: Path) -> str:
    (request,) = read_requests(root / "deletion/requests.csv")
    return request.request_id


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(OneLineErrors(commands={"audit": audit}), ["audit", *arguments])


def _client(root: Path) -> MlflowClient:
    return MlflowClient(tracking_uri=f"sqlite:///{root / 'mlflow.db'}")


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def _write_losses(path: Path) -> None:
    path.parent.mkdir(parents=True)
    rows = [
        f"{model},{name},{0.1 * n}"
        for model in ("original", "unlearned")
        for name in ("forget", "test")
        for n in (1, 9)
    ]
    path.write_text("\n".join(["model,set,loss", *rows]) + "\n")


def _manifest(root: Path, size: int = 32) -> Manifest:
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


def _request(manifest: Manifest) -> DeletionRequest:
    target = Target(key_id=KEY_ID, subject_key=manifest.rows["subject_key"][0])
    dates = {"received_at": "2026-10-05T09:00:00Z", "due_at": "2026-11-05", "legal_basis": "gdpr"}
    return DeletionRequest.model_validate(target.model_dump() | dates | {"request_id": derive_request_id(target, 0)})


def _copy(source: Path, target: Path) -> Path:
    """Copy a repository; weights are linked: a test replaces them and never writes into them."""

    def copy(source: str, target: str) -> None:
        (os.link if source.endswith(".safetensors") else shutil.copy)(source, target)

    shutil.copytree(source, target, copy_function=copy)
    return target


def _register(root: Path, store: Store) -> None:
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
    _write_json(root / "registry/version.json", registered | receipt)


def _record(root: Path, manifest: Manifest, request: DeletionRequest, forget_list: ForgetList) -> None:
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
