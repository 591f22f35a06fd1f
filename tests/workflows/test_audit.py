"""The audit on a repository that the register stage has left behind, with a real ledger and a real MLflow store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dlfd_ops.audit.chain import GENESIS
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.deletion.forget_list import ForgetList, SampleCount, read_forget_list, write_forget_list
from dlfd_ops.deletion.parent import Parent, write_parent
from dlfd_ops.errors import BadInput, CheckFailed
from dlfd_ops.workflows.audit import report, verify
from dlfd_ops.workflows.register import register
from tests.workflows.audited import (
    NAME,
    OTHER,
    PARAMS,
    build_manifest,
    client,
    copy,
    edit_ledger,
    edit_receipt,
    evaluated,
    garble_ledger,
    registered,
    replace_file,
    repository,
    write_json,
)

__all__ = ["evaluated", "registered", "repository"]


def test_what_was_registered_agrees(repository: Path) -> None:
    """Where nothing was changed nothing differs, in the files and in MLflow; the original is checked too."""
    outcome = verify(repository)
    assert outcome.findings == ()
    assert {f"MLflow {NAME} version 1", f"MLflow {NAME} version 2", "audit/ledger.jsonl"} <= set(outcome.checked)


@pytest.mark.slow
def test_what_the_register_stage_leaves_agrees(evaluated: Path, tmp_path: Path) -> None:
    """The stage's own tags, receipt and events are those that the verification expects."""
    root = copy(evaluated, tmp_path / "repository")
    register(PARAMS, root)
    outcome = verify(root)
    assert outcome.findings == ()
    assert f"MLflow {NAME} version 2" in outcome.checked


def test_a_parent_that_covers_more_than_the_ledger_says_registers_nothing(evaluated: Path, tmp_path: Path) -> None:
    """Else one edit of a file would fulfil a request that never was on a forget list."""
    root = copy(evaluated, tmp_path / "repository")
    write_parent(root / "deletion/parent.json", Parent(covers=(OTHER,)))
    with pytest.raises(CheckFailed, match=rf"the ledger explains; received deletion/parent.json covers.*{OTHER}"):
        register(PARAMS, root)
    assert not (root / "registry/version.json").exists()


def _cut_ledger(root: Path) -> None:
    path = root / "audit/ledger.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:1], *lines[2:]]))


def _empty_forget_list(root: Path) -> None:
    write_forget_list(root / "deletion/forget_list.parquet", ForgetList((), {}))


def _other_manifest(root: Path) -> None:
    build_manifest(root, size=64)


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
    write_json(path, metrics | {"unlearned": metrics["unlearned"] | {"rmia_auc": 0.5}})


def _tag(version: int, name: str, value: str) -> Callable[[Path], None]:
    def tamper(root: Path) -> None:
        client(root).set_model_version_tag(NAME, str(version), name, value)

    return tamper


def _delete(version: int) -> Callable[[Path], None]:
    def tamper(root: Path) -> None:
        client(root).delete_model_version(NAME, str(version))

    return tamper


@pytest.mark.parametrize(
    ("tamper", "what"),
    [
        (edit_ledger, "audit/ledger.jsonl line 1 "),
        (_cut_ledger, "audit/ledger.jsonl line 2 "),
        (garble_ledger, "audit/ledger.jsonl line 1 "),
        (replace_file("models/original/weights.safetensors", b"x"), "models/original/weights.safetensors"),
        (replace_file("models/unlearned/weights.safetensors", b"x"), "models/unlearned/weights.safetensors"),
        (replace_file("deletion/forget_list.parquet", b"x"), "deletion/forget_list.parquet"),
        (_empty_forget_list, "deletion/forget_list.parquet"),
        (_other_manifest, "data/prepared/manifest.parquet"),
        (replace_file("deletion/requests.csv", b"x"), "deletion/requests.csv"),
        (replace_file("metrics/unlearning.json", b"{}"), "metrics/unlearning.json original.accuracy"),
        (_invent_number, "metrics/unlearning.json unlearned.rmia_auc"),
        (_claim_request, "deletion/forget_list.parquet requests"),
        (_pin(Parent(covers=(OTHER,))), "deletion/parent.json covers"),
        (_pin(Parent(excluded=(OTHER,))), "deletion/parent.json excluded"),
        (edit_receipt, "registry/version.json run_id"),
        (replace_file("registry/version.json", b"{}"), "registry/version.json"),
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


def test_the_head_of_an_empty_ledger_is_no_head_to_note(repository: Path) -> None:
    """Every ledger goes on from it: it would bind nothing, and any ledger would agree."""
    with pytest.raises(BadInput, match="must be that of a ledger with an event"):
        verify(repository, expected_head=GENESIS)


def test_the_registry_holds_a_checkpoint_of_the_ledger(repository: Path) -> None:
    """The head that a version carries must stand in the chain: a ledger written anew is found without a noted head."""
    ledger = Ledger(repository / "audit/ledger.jsonl")
    client(repository).set_model_version_tag(NAME, "2", "dlfd.ledger_head", ledger.head())
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
    ledger, store = Ledger(repository / "audit/ledger.jsonl"), client(repository)
    store.create_model_version(NAME, str(store.get_model_version(NAME, "2").source))
    assert verify(repository).findings == ()
    complete = ledger.path.read_bytes()
    ledger.append("acknowledged", {"request_id": "req-00000000000a"})
    store.set_model_version_tag(NAME, "3", "dlfd.ledger_head", ledger.head())
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
