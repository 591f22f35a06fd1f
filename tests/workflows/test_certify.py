"""Certificates in a repository: issued once, verified, and told from what was tampered with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from dlfd_ops.audit.certificates import request_certificate, version_certificate
from dlfd_ops.audit.keyring import Keyring
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.audit.signing import SigningKey
from dlfd_ops.cli import main
from dlfd_ops.digest import sha256_file
from dlfd_ops.errors import BadInput, CheckFailed, DlfdError
from dlfd_ops.params import Params
from dlfd_ops.tracking.store import open_store
from dlfd_ops.tracking.versions import read_version
from dlfd_ops.workflows.audit import verify
from dlfd_ops.workflows.certificate_check import check_certificate
from dlfd_ops.workflows.certify import certify_request, certify_version
from dlfd_ops.workflows.evidence import evidence_flaw
from dlfd_ops.workflows.layout import Layout
from tests.workflows.audited import NAME, PARAMS, evaluated, registered, repository

__all__ = ["evaluated", "registered", "repository"]

CERTIFICATE = version_certificate(NAME, 2)


def certify(root: Path, params: Params = PARAMS) -> str:
    """Issue the certificate of version 2 as the register stage does."""
    store = open_store(root)
    version = read_version(store, NAME, 2)
    assert version is not None
    return certify_version(params, Layout(root), store, version, 1)


def request_of(root: Path) -> str:
    """Return the id of the repository's request."""
    event = next(event for event in ledger_of(root).events() if event.kind == "received")
    return str(event.data["request_id"])


def ledger_of(root: Path) -> Ledger:
    """Return the repository's ledger."""
    return Ledger(root / "audit/ledger.jsonl")


def statement(root: Path) -> dict[str, object]:
    """Return what the certificate of version 2 states."""
    key = next((root / "audit/keys").glob("*.pem"))
    said: dict[str, object] = check_certificate(root / CERTIFICATE, key).signed.statement.model_dump(mode="json")
    return said


def test_a_certificate_is_issued_once(repository: Path) -> None:
    """Running again keeps the bytes and adds no event; killed before its event, the next run adds that and no more."""
    ledger, before = ledger_of(repository), (repository / CERTIFICATE).read_bytes()
    head = ledger.head()
    assert certify(repository) == sha256_file(repository / CERTIFICATE)
    assert ledger.head() == head
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    assert json.loads(lines[-1])["kind"] == "certified"
    ledger.path.write_bytes(b"".join(lines[:-1]))
    certify(repository)
    assert [event.kind for event in ledger.events()].count("certified") == 1
    assert (repository / CERTIFICATE).read_bytes() == before
    assert verify(repository).findings == ()


def test_a_certificate_is_a_function_of_the_ledger(repository: Path) -> None:
    """Killed before its file, the next run makes the same bytes; one that was issued and lost is not made again."""
    before = (repository / CERTIFICATE).read_bytes()
    (repository / CERTIFICATE).unlink()
    with pytest.raises(CheckFailed, match="the ledger names it"):
        certify(repository)
    ledger = ledger_of(repository)
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(b"".join(lines[:-1]))
    certify(repository)
    assert (repository / CERTIFICATE).read_bytes() == before


def test_the_certificate_says_what_the_ledger_says(repository: Path) -> None:
    """Subjects, requests, numbers, limits, verdict, parent and the head are those of the events."""
    said = statement(repository)["predicate"]
    assert isinstance(said, dict)
    events = {event.kind: event for event in ledger_of(repository).events()}
    assert said["request_ids"] == [request_of(repository)]
    assert said["metrics"] == events["evaluated"].data["metrics"]
    assert said["gate"]["rules"] == events["gated"].data["rules"]
    assert said["parent"]["version"] == 1
    assert said["parent"]["certificate_digest"] is None
    assert said["ledger"] == {"seq": events["gated"].seq, "head": events["gated"].hash}
    assert "evidence" in said["caveat"]
    assert "not proof" in said["caveat"]


def test_another_verdict_is_certified_anew(repository: Path) -> None:
    """The new certificate takes the place of the old one, and both digests stand in the ledger."""
    first = sha256_file(repository / CERTIFICATE)
    gated = next(event for event in ledger_of(repository).events() if event.kind == "gated")
    ledger_of(repository).append("gated", {**gated.data, "passed": False})
    second = certify(repository)
    assert second != first
    digests = [event.data["digest"] for event in ledger_of(repository).events() if event.kind == "certified"]
    assert digests == [first, second]


def test_a_verdict_that_nobody_certified_is_found(repository: Path) -> None:
    """A line of the ledger is written without a key; the certificate is not, and the older verdict is no excuse."""
    gated = next(event for event in ledger_of(repository).events() if event.kind == "gated")
    ledger_of(repository).append("gated", {**gated.data, "passed": not gated.data["passed"]})
    assert f"{CERTIFICATE} predicate.gate.passed" in {finding.what for finding in verify(repository).findings}


def test_a_certificate_that_was_replaced_does_not_come_back(repository: Path) -> None:
    """Its file and its event again, with the verdict that it has signed, say that the newer judgement never was."""
    ledger, first = ledger_of(repository), (repository / CERTIFICATE).read_bytes()
    judged, issued = (next(e.data for e in ledger.events() if e.kind == kind) for kind in ("gated", "certified"))
    ledger.append("gated", {**judged, "passed": not judged["passed"]})
    certify(repository)
    (repository / CERTIFICATE).write_bytes(first)
    ledger.append_all([("gated", judged), ("certified", issued)])
    (finding,) = [one for one in verify(repository).findings if one.what == str(CERTIFICATE)]
    assert finding.found == "one that was replaced before"


def test_nothing_is_certified_from_a_broken_chain(repository: Path) -> None:
    """Neither a version nor a request: an edited date would come out signed."""
    path = ledger_of(repository).path
    path.write_text(path.read_text().replace('"gdpr"', '"ccpa"', 1))
    for attempt in (lambda: certify(repository), lambda: certify_request("req-00000000000b", repository)):
        with pytest.raises(CheckFailed, match=r"the ledger must hold .* line 1"):
            attempt()


def test_registering_again_launders_nothing(repository: Path) -> None:
    """A model that was changed in the store keeps the digest of the first certificate, and is found."""
    found = read_version(open_store(repository), NAME, 2)
    assert found is not None
    source = next(path for path in Path(_artifacts(repository)).rglob("model.pt2"))
    kept = source.read_bytes()
    source.write_bytes(b"another model")
    try:
        certify(repository)
        assert [finding.what for finding in verify(repository).findings] == [
            f"MLflow {NAME} version 2 served file",
            f"MLflow {NAME} version 2 model folder",
        ]
    finally:
        source.write_bytes(kept)


def _artifacts(root: Path) -> str:
    experiment = open_store(root).client.get_experiment_by_name("dlfd-synthetic")
    assert experiment is not None
    return str(experiment.artifact_location).removeprefix("file://")


def _lose(root: Path) -> None:
    (root / CERTIFICATE).unlink()


def _change(root: Path) -> None:
    content = (root / CERTIFICATE).read_bytes()
    (root / CERTIFICATE).write_bytes(content.replace(b'"sig":"', b'"sig":"AAAA'))


def _sign_with_another_key(root: Path) -> None:
    said = check_certificate(root / CERTIFICATE, next((root / "audit/keys").glob("*.pem"))).signed.statement
    (root / CERTIFICATE).write_bytes(SigningKey(b"\7" * 32).sign(said.canonical()).to_bytes())


def _plant(root: Path) -> None:
    shutil.copy(root / CERTIFICATE, root / "audit/certificates/another-v3.json")


def _lose_key(root: Path) -> None:
    next((root / "audit/keys").glob("*.pem")).unlink()


def _plant_key(root: Path) -> None:
    key = SigningKey(b"\7" * 32).public
    (root / f"audit/keys/{key.key_id}.pem").write_bytes(key.pem())


def _tag(root: Path) -> None:
    open_store(root).client.set_model_version_tag(NAME, "2", "dlfd.certificate_digest", "0" * 64)


def _forge(root: Path) -> None:
    """State better numbers, signed with the stolen key, and tell the ledger of it."""
    said = check_certificate(root / CERTIFICATE, next((root / "audit/keys").glob("*.pem"))).signed.statement
    better = json.loads(said.canonical())
    better["predicate"]["metrics"]["unlearned.mia_auc"] = 0.5
    payload = json.dumps(better, sort_keys=True, separators=(",", ":")).encode()
    key = Keyring(root, ledger_of(root)).signing_key()
    (root / CERTIFICATE).write_bytes(key.sign(payload).to_bytes())
    _certified(root, key.public.key_id)


def _sign_after_rotation(root: Path) -> None:
    """Tell the ledger anew of a certificate whose key was replaced in between."""
    old = Keyring(root, ledger_of(root)).rotate().replaces
    _certified(root, old, digest="0" * 64)
    _certified(root, old)


def _certified(root: Path, key_id: str, digest: str | None = None) -> None:
    digest = digest or sha256_file(root / CERTIFICATE)
    data = {"name": CERTIFICATE.stem, "digest": digest, "key_id": key_id, "request_ids": [request_of(root)]}
    ledger_of(root).append("certified", data)


@pytest.mark.parametrize(
    ("tamper", "what"),
    [
        (_lose, str(CERTIFICATE)),
        (_change, str(CERTIFICATE)),
        (_sign_with_another_key, str(CERTIFICATE)),
        (_plant, "audit/certificates/another-v3.json"),
        (_lose_key, "audit/keys/"),
        (_plant_key, "audit/keys/"),
        (_tag, f"MLflow {NAME} version 2 dlfd.certificate_digest"),
        (_forge, f"{CERTIFICATE} predicate.metrics.unlearned.mia_auc"),
        (_sign_after_rotation, f"{CERTIFICATE} key"),
    ],
)
def test_tampering_is_found(repository: Path, tamper: Callable[[Path], None], what: str) -> None:
    """Whoever changes, loses, plants or forges, even with the key: the place is named."""
    tamper(repository)
    assert any(finding.what.startswith(what) for finding in verify(repository).findings)


def test_a_certificate_that_was_tampered_with_is_not_overwritten(repository: Path) -> None:
    """The stage stops and says where the true one is."""
    _change(repository)
    with pytest.raises(DlfdError, match="restore it from git"):
        certify(repository)


def test_a_request_gets_its_certificate_and_letter(repository: Path) -> None:
    """Asked twice the files are the same; after an event that changes nothing too; all of it verifies."""
    request_id = request_of(repository)
    made = certify_request(request_id, repository)
    contents = [(repository / file).read_bytes() for file in made.files]
    assert made.files[0] == request_certificate(request_id)
    assert certify_request(request_id, repository) == made
    ledger_of(repository).append("acknowledged", {"request_id": request_id})
    certify_request(request_id, repository)
    assert [(repository / file).read_bytes() for file in made.files] == contents
    assert made.statement.predicate.certificate_digest == sha256_file(repository / CERTIFICATE)
    assert sha256_file(repository / made.files[0]) in (repository / made.files[2]).read_text()
    outcome = verify(repository)
    assert outcome.findings == ()
    assert str(made.files[0]) in outcome.checked


def test_only_a_fulfilled_request_is_certified(repository: Path) -> None:
    """An unknown id is bad input; an open request, or one whose version no longer passes, is told so."""
    with pytest.raises(BadInput, match="request id"):
        certify_request("req-000000000000", repository)
    gated = next(event for event in ledger_of(repository).events() if event.kind == "gated")
    ledger_of(repository).append("gated", {**gated.data, "passed": False})
    certify(repository)
    with pytest.raises(CheckFailed, match="no longer passes"):
        certify_request(request_of(repository), repository)


def test_the_evidence_vouches_for_exactly_these_numbers(repository: Path) -> None:
    """Other numbers, another forget list, no signature, or that of a replaced key: there is no signed evidence."""
    layout = Layout(repository)
    resolved = next(event.data for event in ledger_of(repository).events() if event.kind == "resolved")
    about = {name: resolved[name] for name in ("forget_list_digest", "manifest_digest")}
    assert evidence_flaw(layout, **about) is None
    assert "about the weights" in (evidence_flaw(layout, **about | {"forget_list_digest": "0" * 64}) or "")
    numbers = layout.metrics("unlearning")
    kept = numbers.read_text()
    for changed in (kept.replace("0.53", "0.5"), kept.replace("0.53", "NaN"), kept + " "):
        numbers.write_text(changed)
        assert "about the weights" in (evidence_flaw(layout, **about) or "")
    numbers.write_text(kept)
    Keyring(repository, ledger_of(repository)).rotate()
    assert "replaced" in (evidence_flaw(layout, **about) or "")
    layout.evidence.unlink()
    assert "must be a file" in (evidence_flaw(layout, **about) or "")


def test_a_certificate_is_checked_far_from_the_repository(repository: Path, tmp_path: Path) -> None:
    """With the file, the key and the weights: 0; with other weights or another key: 1; with no certificate: 2."""
    away = tmp_path / "away"
    away.mkdir()
    shutil.copy(repository / CERTIFICATE, away / "certificate.json")
    shutil.copy(next((repository / "audit/keys").glob("*.pem")), away / "key.pem")
    shutil.copy(repository / "models/unlearned/weights.safetensors", away / "weights")
    (away / "other").write_bytes(b"x")
    (away / "other.pem").write_bytes(SigningKey(b"\7" * 32).public.pem())
    given = ["audit", "verify", "--certificate", str(away / "certificate.json"), "--key"]

    def status(*arguments: str) -> int:
        return CliRunner().invoke(main, [*given, *arguments]).exit_code

    assert status(str(away / "key.pem"), "--file", str(away / "weights")) == 0
    assert status(str(away / "key.pem"), "--json") == 0
    assert status(str(away / "key.pem"), "--file", str(away / "other")) == 1
    assert status(str(away / "other.pem")) == 1
    assert status(str(away / "other")) == 2
    assert status(str(away / "key.pem"), "--file", str(away / "missing")) == 2
