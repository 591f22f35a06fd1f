"""Following the signing keys: each replacement is signed by the key before, or is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from dlfd_ops.audit.chain import Event
from dlfd_ops.audit.findings import Verification
from dlfd_ops.audit.keyring import Keyring
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.audit.signing import SigningKey
from dlfd_ops.errors import BadInput
from dlfd_ops.workflows.audit import verify
from dlfd_ops.workflows.audit_keys import compare_keys, compare_successions, read_public_keys
from dlfd_ops.workflows.layout import Layout

A, B, C = (SigningKey(bytes([number]) * 32) for number in (1, 2, 3))
Entry = tuple[SigningKey, SigningKey | None, SigningKey | None, SigningKey | None]
"""The key that comes into use, the one that it says it replaces, and who signed that as the old and as the new key."""
FIRST: Entry = (A, None, None, None)
HONEST: tuple[Entry, ...] = (FIRST, (B, A, A, B), (C, B, B, C))
LOST: tuple[Entry, ...] = (FIRST, (B, A, None, B), (C, B, B, C))


def compared(root: Path, entries: Sequence[Entry], expected: SigningKey | None = None) -> Verification:
    """Write a ledger of these keys, publish them, and compare."""
    ledger = Ledger(root / "audit/ledger.jsonl")
    for key, replaces, *signers in entries:
        key_id, replaced = key.public.key_id, replaces.public.key_id if replaces else None
        signatures = [one.sign_succession(key_id=key_id, replaced=replaced or "") if one else None for one in signers]
        facts = {"key_id": key_id, "replaces": replaced, "endorsement": signatures[0], "acceptance": signatures[1]}
        ledger.append("signing_key", facts)
        (root / "audit/keys").mkdir(exist_ok=True)
        (root / f"audit/keys/{key_id}.pem").write_bytes(key.public.pem())
    return compare_keys(Layout(root), ledger.events(), expected.public.key_id if expected else None)


def told(**facts: object) -> Event:
    """Return an event about a signing key."""
    return Event(1, "", "signing_key", facts, "", "")


@pytest.mark.parametrize("expected", [None, A, B, C])
def test_signed_replacements_can_be_followed_from_any_key(tmp_path: Path, expected: SigningKey | None) -> None:
    """Whoever was given one of the ids, and whenever: nothing differs."""
    outcome = compared(tmp_path, HONEST, expected)
    assert (outcome.findings, outcome.not_checked) == ((), ())


@pytest.mark.parametrize(("expected", "follows"), [(None, True), (A, False), (B, True), (C, True)])
def test_a_lost_key_is_told_and_breaks_what_can_be_followed(
    tmp_path: Path, expected: SigningKey | None, follows: bool
) -> None:
    """Without a key of the auditor's it is a line under ``not checked``; from the lost key nothing follows."""
    outcome = compared(tmp_path, LOST, expected)
    assert [line.split(":")[0] for line in outcome.not_checked] == [f"audit/keys/{B.public.key_id}.pem succession"]
    assert [finding.what for finding in outcome.findings] == ([] if follows else ["signing keys"])


def test_who_endorses_the_known_key_does_not_become_its_predecessor(tmp_path: Path) -> None:
    """Anybody can sign that the company's key replaces theirs: the company's key says nothing of it."""
    outcome = compared(tmp_path, [(B, None, None, None), (A, B, B, None)], A)
    assert [finding.what for finding in outcome.findings] == ["signing keys"]
    assert [A.public.key_id[:12] in line for line in outcome.not_checked] == [True]


def test_a_signature_of_a_key_that_is_missing_does_not_hold(tmp_path: Path) -> None:
    """Taking the old public key away does not spare its signature the check."""
    compared(tmp_path, [FIRST, (B, A, C, B)])
    (tmp_path / f"audit/keys/{A.public.key_id}.pem").unlink()
    events = Ledger(tmp_path / "audit/ledger.jsonl").events()
    (finding,) = compare_successions(events, read_public_keys(Layout(tmp_path))[0]).findings
    assert finding.what == f"audit/keys/{B.public.key_id}.pem succession"


def test_a_ledger_from_before_there_were_signatures_is_told_as_unsigned(tmp_path: Path) -> None:
    """Its replacements were not signed by anybody; nothing differs."""
    ids = [key.public.key_id for key in (A, B)]
    said: list[dict[str, object]] = [{"key_id": ids[0], "replaces": None}, {"key_id": ids[1], "replaces": ids[0]}]
    outcome = compare_successions([told(**data) for data in said], {})
    assert (outcome.findings, len(outcome.not_checked)) == ((), 2)


@pytest.mark.parametrize("key_id", ["\n99 checked: all agree with the ledger", "../../etc", "A" * 64, 7])
def test_a_key_id_is_a_hash(key_id: object) -> None:
    """Nothing else of the ledger's gets into a path or onto a line of the outcome."""
    with pytest.raises(BadInput):
        compare_successions([told(key_id=key_id, replaces=None)], {})


def test_a_key_that_the_ledger_does_not_know_is_not_followed(tmp_path: Path) -> None:
    """What the auditor was told is not this repository's."""
    (finding,) = compared(tmp_path, HONEST[:2], C).findings
    assert (finding.what, finding.expected) == ("signing keys", C.public.key_id)


@pytest.mark.parametrize(
    "entries",
    [
        (FIRST, (B, A, B, B)),
        (FIRST, (B, A, C, B)),
        (FIRST, (B, A, A, C)),
        (FIRST, (B, None, None, None)),
        (FIRST, (B, A, A, B), (C, A, A, C)),
        ((B, A, A, B),),
    ],
    ids=["signs itself", "by a stranger", "for a stranger", "a second first key", "replaces a former key", "nothing"],
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
