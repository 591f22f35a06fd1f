"""Following the signing keys: each replacement is signed by the key before, or is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from dlfd_ops.audit.keyring import Keyring
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.audit.signing import SigningKey
from dlfd_ops.audit.verification import Verification
from dlfd_ops.errors import BadInput
from dlfd_ops.workflows.audit import verify
from dlfd_ops.workflows.audit_keys import compare_keys
from dlfd_ops.workflows.layout import Layout

A, B, C = (SigningKey(bytes([number]) * 32) for number in (1, 2, 3))
Entry = tuple[SigningKey, SigningKey | None, SigningKey | None]
"""The key that comes into use, the one that it says it replaces, and who signed that."""
HONEST: tuple[Entry, ...] = ((A, None, None), (B, A, A), (C, B, B))
LOST: tuple[Entry, ...] = ((A, None, None), (B, A, None), (C, B, B))


def compared(root: Path, entries: Sequence[Entry], expected: SigningKey | None = None) -> Verification:
    """Write a ledger of these keys, publish them, and compare."""
    ledger = Ledger(root / "audit/ledger.jsonl")
    for key, replaces, signer in entries:
        key_id = key.public.key_id
        endorsement = signer.endorse(key_id) if signer else None
        replaced = replaces.public.key_id if replaces else None
        ledger.append("signing_key", {"key_id": key_id, "replaces": replaced, "endorsement": endorsement})
        (root / "audit/keys").mkdir(exist_ok=True)
        (root / f"audit/keys/{key_id}.pem").write_bytes(key.public.pem())
    return compare_keys(Layout(root), ledger.events(), expected.public.key_id if expected else None)


@pytest.mark.parametrize("expected", [None, A, B, C])
def test_signed_replacements_can_be_followed_from_any_key(tmp_path: Path, expected: SigningKey | None) -> None:
    """Whoever was given one of the ids, and whenever: nothing differs."""
    outcome = compared(tmp_path, HONEST, expected)
    assert (outcome.findings, outcome.not_checked) == ((), ())


@pytest.mark.parametrize(("expected", "follows"), [(A, False), (B, True), (C, True)])
def test_a_lost_key_is_told_and_breaks_what_can_be_followed(
    tmp_path: Path, expected: SigningKey, follows: bool
) -> None:
    """Without a key of the auditor's it is a line under ``not checked``; from the lost key nothing follows."""
    outcome = compared(tmp_path, LOST, expected)
    assert [line.split(":")[0] for line in outcome.not_checked] == [f"audit/keys/{B.public.key_id}.pem succession"]
    assert [finding.what for finding in outcome.findings] == ([] if follows else ["signing key in use"])


def test_a_key_that_the_ledger_does_not_know_is_not_followed(tmp_path: Path) -> None:
    """What the auditor was told is not this repository's."""
    assert [one.found for one in compared(tmp_path, HONEST[:2], C).findings] == [B.public.key_id]


@pytest.mark.parametrize(
    "entries",
    [
        ((A, None, None), (B, A, B)),
        ((A, None, None), (B, A, C)),
        ((A, None, None), (B, None, None)),
        ((A, None, None), (B, A, A), (C, A, A)),
        ((B, A, A),),
    ],
    ids=["signs itself", "signed by a stranger", "a second first key", "replaces a former key", "replaces nothing"],
)
def test_a_takeover_is_found(tmp_path: Path, entries: Sequence[Entry]) -> None:
    """It is named by the file of the key that came in so."""
    (finding,) = compared(tmp_path, entries).findings
    assert finding.what == f"audit/keys/{entries[-1][0].public.key_id}.pem succession"


def test_what_rotate_writes_holds(tmp_path: Path) -> None:
    """The command and the check agree."""
    ledger = Ledger(tmp_path / "audit/ledger.jsonl")
    keyring = Keyring(tmp_path, ledger)
    first = keyring.signing_key()
    keyring.rotate()
    outcome = compare_keys(Layout(tmp_path), ledger.events(), first.public.key_id)
    assert (outcome.findings, outcome.not_checked) == ((), ())


@pytest.mark.parametrize("text", ["", "00", "Z" * 64, "A" * 64])
def test_an_expected_key_is_a_hash(tmp_path: Path, text: str) -> None:
    """One line says so."""
    with pytest.raises(BadInput, match="the expected key must be a hash"):
        verify(tmp_path, expected_key=text)
