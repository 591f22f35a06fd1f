"""Promotion on a real ledger and a real store: who may serve, and who decides it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dlfd_ops.audit.keyring import SIGNING_KEY_FILE, Keyring
from dlfd_ops.audit.signing import SigningKey
from dlfd_ops.cli import main
from dlfd_ops.errors import BadInput, CheckFailed
from dlfd_ops.workflows.audit import report as write_report
from dlfd_ops.workflows.audit_material import compare_parts
from dlfd_ops.workflows.promote import promote
from tests.workflows.champions import ANNA, BEN, CARL, FAILED, NAME, PARAMS, Lineage, lineage, prepared, redone

__all__ = ["lineage", "prepared", "redone"]


def test_the_candidate_is_promoted_once(lineage: Lineage) -> None:
    """The alias moves, the ledger says who, from, to; a second run changes and tells nothing; the audit agrees."""
    first = promote(PARAMS, lineage.root)
    assert (first.moved.version, first.moved.from_version, first.moved.changed) == (3, None, True)
    assert lineage.aliases == {"candidate": 3, "champion": 3}
    assert not promote(PARAMS, lineage.root).moved.changed
    (event,) = lineage.moves()
    assert event.data == {
        "model_name": NAME,
        "store": "sqlite:///mlflow.db",
        "version": 3,
        "from_version": None,
        "by": "model-owner",
        "forced": False,
        "reason": None,
        "failed_rules": [],
    }
    assert lineage.store.client.get_model_version(NAME, "3").tags["dlfd.ledger_head"] == event.hash
    assert compare_parts(lineage.root)["registry"].findings == ()


def test_a_version_that_serves_already_freezes_nothing(lineage: Lineage) -> None:
    """Who unfroze the training for a fresh start and promotes again finds the pipeline as it was left."""
    pipeline = lineage.root / "dvc.yaml"
    pipeline.write_text("stages:\n  train:\n    cmd: echo\n")
    promote(PARAMS, lineage.root)
    assert "frozen: true" in pipeline.read_text()
    pipeline.write_text("stages:\n  train:\n    cmd: echo\n")
    assert not promote(PARAMS, lineage.root).moved.changed
    assert "frozen" not in pipeline.read_text()


def test_a_version_that_failed_is_refused_with_its_rules(lineage: Lineage) -> None:
    """Also where somebody wrote another verdict onto it; nothing moves and nothing is told."""
    lineage.store.client.set_model_version_tag(NAME, "4", "dlfd.gate", "passed")
    for change in ("passed", "failed"):
        lineage.store.client.set_model_version_tag(NAME, "4", "dlfd.gate", change)
        with pytest.raises(CheckFailed):
            promote(PARAMS, lineage.root, version=4)
    with pytest.raises(CheckFailed, match=r"max_accuracy_drop 0\.08 \(limit 0\.05\)"):
        promote(PARAMS, lineage.root, version=4)
    assert "champion" not in lineage.aliases
    assert lineage.moves() == []


def test_a_verdict_that_nobody_certified_promotes_nothing(lineage: Lineage) -> None:
    """Ledger, tag and alias say that it passed; the signed certificate does not, and that is the one with a key."""
    judged = next(e.data for e in reversed(lineage.ledger.events()) if e.kind == "gated" and e.data["version"] == 4)
    lineage.ledger.append("gated", {**judged, "passed": True, "rules": []})
    lineage.store.client.set_model_version_tag(NAME, "4", "dlfd.gate", "passed")
    lineage.point("candidate", 4)
    with pytest.raises(CheckFailed, match=r"certificate of version 4 .* must say what the ledger says"):
        promote(PARAMS, lineage.root)
    assert lineage.moves() == []


def test_a_signing_key_that_took_the_place_of_another_promotes_nothing(lineage: Lineage) -> None:
    """Its endorsement is by another key; taking the public key away that it should be by does not help."""
    stranger, current = SigningKey(bytes(32)), Keyring(lineage.root, lineage.ledger).signing_key().public.key_id
    said = {"key_id": stranger.public.key_id, "replaced": current}
    signed = stranger.sign_succession(**said)
    facts = {"key_id": said["key_id"], "replaces": current, "endorsement": signed, "acceptance": signed}
    (lineage.root / f"audit/keys/{stranger.public.key_id}.pem").write_bytes(stranger.public.pem())
    lineage.ledger.append("signing_key", facts)
    for reason in ("succession: expected the signature of", "the signature of a known key"):
        with pytest.raises(CheckFailed, match=reason):
            promote(PARAMS, lineage.root, version=3)
        (lineage.root / f"audit/keys/{current}.pem").unlink(missing_ok=True)
    assert lineage.moves() == []


def test_a_signing_key_without_the_signature_of_the_one_before_is_told(lineage: Lineage) -> None:
    """The key before it was lost: nobody can tell from the ledger whose the new one is.

    In a process of its own: MLflow sets the root logger to errors only, and the warning must be seen all the same.
    """
    keyring = Keyring(lineage.root, lineage.ledger)
    keyring.signing_key()
    (lineage.root / SIGNING_KEY_FILE).unlink()
    keyring.rotate(lost=True)
    shutil.copyfile(Path(__file__).parents[2] / "params.yaml", lineage.root / "params.yaml")
    command = [sys.executable, "-c", "from dlfd_ops.cli import main; main()", "promote", "--version", "3"]
    done = subprocess.run(command, cwd=lineage.root, check=True, capture_output=True, text=True)
    assert "serves now" in done.stdout
    assert [line for line in done.stderr.splitlines() if line.startswith("warning: not checked: audit/keys/")]


def test_force_is_recorded_and_shows_red(lineage: Lineage) -> None:
    """The reason and the broken rules stand in the ledger, and in the page, escaped and red."""
    reason = "The <b>old</b> one leaks; \N{LATIN SMALL LETTER E WITH ACUTE}t\N{LATIN SMALL LETTER E WITH ACUTE} 2026"
    done = promote(PARAMS, lineage.root, version=4, reason=reason)
    assert done.failed == (FAILED,)
    (event,) = lineage.moves()
    assert (event.data["forced"], event.data["reason"], event.data["failed_rules"]) == (True, reason, [FAILED])
    shown = write_report(PARAMS, lineage.root)
    assert (shown.promotions[0].forced, shown.promotions[0].reason) == (True, reason)
    page = (lineage.root / "audit/report.html").read_text()
    assert page.count('<span class="badge bad">forced</span>') == 2
    assert "<b>old</b>" not in page
    promote(PARAMS, lineage.root)
    write_report(PARAMS, lineage.root)
    assert (lineage.root / "audit/report.html").read_text().count('<span class="badge bad">forced</span>') == 1


def test_force_is_not_recorded_where_it_was_not_needed(lineage: Lineage) -> None:
    """A version that passed is promoted as any other."""
    promote(PARAMS, lineage.root, version=3, reason="to be sure")
    assert (lineage.moves()[0].data["forced"], lineage.moves()[0].data["reason"]) == (False, None)


@pytest.mark.parametrize("version", [1, 2])
def test_nothing_forces_a_version_that_still_knows_somebody(lineage: Lineage, version: int) -> None:
    """The requests are named, and the newest version that is safe; that of a failed version is not fulfilled."""
    with pytest.raises(CheckFailed, match="newest version that is safe is 3") as caught:
        promote(PARAMS, lineage.root, version=version, reason="we liked it better")
    assert BEN in str(caught.value)
    assert (ANNA in str(caught.value)) == (version == 1)
    assert CARL not in str(caught.value)


def test_a_promotion_around_the_gate_is_found(lineage: Lineage) -> None:
    """The alias moved by hand, to a version or away, and a candidate that is none."""
    lineage.point("champion", 4)
    assert _findings(lineage) == [(f"MLflow {NAME} alias champion", "no version", "version 4")]
    promote(PARAMS, lineage.root)
    assert lineage.moves()[0].data["from_version"] == 4
    assert _findings(lineage) == []
    lineage.store.client.delete_registered_model_alias(NAME, "champion")
    lineage.point("candidate", 4)
    assert _findings(lineage) == [
        (f"MLflow {NAME} alias champion", "version 3", "no version"),
        (f"MLflow {NAME} alias candidate", "version 3", "version 4"),
    ]


def _findings(lineage: Lineage) -> list[tuple[str, str, str]]:
    return [(found.what, found.expected, found.found) for found in compare_parts(lineage.root)["registry"].findings]


def test_a_version_that_was_tampered_with_is_refused(lineage: Lineage) -> None:
    """No force helps: first the tags must be what the ledger says."""
    lineage.store.client.set_model_version_tag(NAME, "3", "dlfd.weights_digest", "0" * 64)
    with pytest.raises(CheckFailed, match=r"must agree on version 3 .* dlfd\.weights_digest"):
        promote(PARAMS, lineage.root, reason="never mind")


def test_a_broken_ledger_is_not_added_to(lineage: Lineage) -> None:
    """A line that was changed stops the promotion before the alias moves."""
    path = lineage.ledger.path
    path.write_text(path.read_text().replace('"gdpr"', '"ccpa"', 1))
    with pytest.raises(CheckFailed, match="ledger must hold"):
        promote(PARAMS, lineage.root)
    assert "champion" not in lineage.aliases


def test_what_is_not_there_is_bad_input(lineage: Lineage, tmp_path: Path) -> None:
    """An unknown version, no candidate, a registry without the model, a repository without a ledger."""
    with pytest.raises(BadInput, match="version 9, which is not there"):
        promote(PARAMS, lineage.root, version=9)
    lineage.store.client.delete_registered_model_alias(NAME, "candidate")
    with pytest.raises(BadInput, match="must have a candidate"):
        promote(PARAMS, lineage.root)
    section = PARAMS.register_.model_copy(update={"model_name": "another"})
    with pytest.raises(BadInput, match="must have the model another"):
        promote(PARAMS.model_copy(update={"register_": section}), lineage.root)
    with pytest.raises(BadInput, match="must exist"):
        promote(PARAMS, tmp_path)


@pytest.mark.parametrize(
    "reason", ["", "   ", "x" * 501, "two\nlines", "\x1b[31mred", "left\N{RIGHT-TO-LEFT OVERRIDE}"]
)
def test_a_reason_is_a_short_plain_line(lineage: Lineage, reason: str) -> None:
    """It is kept for good and shown on terminals and pages."""
    with pytest.raises(BadInput, match="reason must have"):
        promote(PARAMS, lineage.root, version=4, reason=reason)


def test_somebody_must_decide(lineage: Lineage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a role git's name counts; without any, or with a broken one, nothing happens; never an address."""
    monkeypatch.delenv("DLFD_ACTOR")
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
    with pytest.raises(BadInput, match="must say who decides"):
        promote(PARAMS, lineage.root)
    monkeypatch.setenv("DLFD_ACTOR", "a\tb")
    with pytest.raises(BadInput, match="must say who decides"):
        promote(PARAMS, lineage.root)
    monkeypatch.delenv("DLFD_ACTOR")
    subprocess.run(["git", "init", "-q", str(lineage.root)], check=True)
    for key, value in (("user.name", "Release Desk"), ("user.email", "desk@example.org")):
        subprocess.run(["git", "-C", str(lineage.root), "config", key, value], check=True)
    promote(PARAMS, lineage.root)
    assert lineage.moves()[0].data["by"] == "Release Desk"
    assert "desk@" not in lineage.ledger.path.read_text()


def test_a_clock_in_another_time_zone_changes_nothing(lineage: Lineage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is tomorrow already, the ledger and the page are in UTC."""
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    try:
        promote(PARAMS, lineage.root)
        shown = write_report(PARAMS, lineage.root)
    finally:
        monkeypatch.undo()
        time.tzset()
    (event,) = lineage.moves()
    assert event.at.endswith("Z")
    assert abs(datetime.now(UTC) - datetime.fromisoformat(event.at)) < timedelta(minutes=5)
    assert shown.as_of == datetime.fromisoformat(event.at).date()


def test_the_commands_answer_with_the_contract_s_status(lineage: Lineage, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 with text or JSON, 1 where a check does not hold, 2 for bad input, each error in one line."""
    shutil.copyfile(Path(__file__).parents[2] / "params.yaml", lineage.root / "params.yaml")
    monkeypatch.chdir(lineage.root)
    assert json.loads(_run("promote", "--json").stdout) == {
        "model_name": NAME,
        "version": 3,
        "from_version": None,
        "changed": True,
        "forced": False,
        "failed_rules": [],
    }
    assert _run("promote").stdout == f"{NAME} version 3 serves already\n"
    forced = _run("promote", "--version", "4", "--force", "--reason", "urgent")
    assert "forced: not held: max_accuracy_drop" in forced.stdout
    assert json.loads(_run("rollback", "--to", "3", "--json").stdout)["from_version"] == 4
    for status, arguments in (
        (1, ["rollback", "--to", "2"]),
        (1, ["promote", "--version", "4"]),
        (2, ["promote", "--version", "0"]),
        (2, ["promote", "--version", "9"]),
        (2, ["promote", "--force"]),
        (2, ["promote", "--reason", "because"]),
        (2, ["rollback", "--to", "x"]),
    ):
        result = _run(*arguments)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (status, "", 1), arguments
    params = lineage.root / "params.yaml"
    params.write_text(params.read_text().replace("max_overshoot: 0.10", "max_overshoot: 1.10"))
    assert (_run("promote").exit_code, "max_overshoot" in _run("promote").stderr) == (2, True)


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))
