"""The signing keys: first use, rotation, the environment, and what an interrupted command leaves."""

from __future__ import annotations

import base64
import stat
import subprocess
from pathlib import Path

import pytest

from dlfd_ops.audit.keyring import Keyring, Rotation, in_use_at
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.audit.signing import SigningKey, read_public
from dlfd_ops.errors import BadInput
from dlfd_ops.files import create_secret

A, B, C = (SigningKey(bytes([number]) * 32) for number in (1, 2, 3))


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    """The keys of an empty repository."""
    return Keyring(tmp_path, Ledger(tmp_path / "audit/ledger.jsonl"))


def test_first_use_makes_publishes_and_records_a_key(keyring: Keyring, tmp_path: Path) -> None:
    """The private key is its owner's alone and hidden from git; the second use is the same key and tells nothing."""
    key = keyring.signing_key()
    assert keyring.signing_key() == key
    private = tmp_path / ".dlfd/signing_key.pem"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert (tmp_path / ".dlfd/.gitignore").read_text() == "*\n"
    assert read_public(tmp_path / f"audit/keys/{key.public.key_id}.pem") == key.public
    (event,) = Ledger(tmp_path / "audit/ledger.jsonl").events()
    assert (event.kind, event.data) == (
        "signing_key",
        {"key_id": key.public.key_id, "replaces": None, "endorsement": None, "acceptance": None},
    )
    assert key.seed.hex() not in repr(key)


def test_the_key_id_is_what_openssl_computes(tmp_path: Path) -> None:
    """An auditor finds the id without this package."""
    path = tmp_path / "key.pem"
    path.write_bytes(A.public.pem())
    der = ["openssl", "pkey", "-pubin", "-in", str(path), "-outform", "DER"]
    digest = subprocess.run(
        ["sha256sum"],
        input=subprocess.run(der, check=True, capture_output=True).stdout,
        check=True,
        capture_output=True,
    )
    assert digest.stdout.split()[0].decode() == A.public.key_id


def signed(signer: SigningKey, successor: SigningKey = B) -> str:
    """Return a signature of A being replaced."""
    return signer.sign_succession(key_id=successor.public.key_id, replaced=A.public.key_id)


def test_openssl_verifies_the_signature_of_a_succession(tmp_path: Path) -> None:
    """An auditor follows from one key to the next without this package; for another successor it does not hold."""
    files = {"key.pem": A.public.pem(), "signature": base64.b64decode(signed(A))}
    for name, successor in (("message", B), ("other", C)):
        line = f"dlfd-ops signing key {successor.public.key_id} replaces {A.public.key_id}\n"
        files[name] = line.encode()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    verify = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-sigfile", "signature", "-in"]
    outcomes = [
        subprocess.run([*verify, name], cwd=tmp_path, check=False, capture_output=True) for name in ("message", "other")
    ]
    assert [outcome.returncode == 0 for outcome in outcomes] == [True, False]


@pytest.mark.parametrize("endorsement", ["", "no base64", "AAAA", signed(A, C), signed(B)])
def test_only_the_key_itself_endorses(endorsement: str) -> None:
    """Another text, another successor or another signer is no endorsement."""
    said = {"key_id": B.public.key_id, "replaced": A.public.key_id}
    assert A.public.has_signed_succession(signed(A), **said)
    assert not A.public.has_signed_succession(endorsement, **said)


def test_rotation_keeps_every_public_key(keyring: Keyring, tmp_path: Path) -> None:
    """The new key signs, the old public key stays, and the ledger says which one signed when."""
    first = keyring.signing_key()
    rotation = keyring.rotate()
    second = keyring.signing_key()
    assert (rotation.replaces, rotation.key_id) == (first.public.key_id, second.public.key_id)
    assert set(keyring.public_keys()) == {first.public.key_id, second.public.key_id}
    events = Ledger(tmp_path / "audit/ledger.jsonl").events()
    assert [in_use_at(events, seq) for seq in (1, 2, 3)] == [None, rotation.replaces, rotation.key_id]
    assert rotation.endorsed
    said = {"key_id": rotation.key_id, "replaced": rotation.replaces}
    assert first.public.has_signed_succession(events[-1].data["endorsement"], **said)
    assert second.public.has_signed_succession(events[-1].data["acceptance"], **said)


def test_a_rotation_killed_before_its_event_is_done_by_the_next(keyring: Keyring, tmp_path: Path) -> None:
    """The new private key stood already: it is the one that comes into use, and until then the old one signs."""
    first = keyring.signing_key()
    waiting = tmp_path / ".dlfd/next_signing_key.pem"
    waiting.write_text(B.pem())
    waiting.chmod(0o600)
    assert keyring.signing_key() == first
    assert keyring.rotate().key_id == B.public.key_id
    assert keyring.signing_key() == B
    assert not waiting.exists()


@pytest.mark.parametrize("finish", ["sign", "rotate"])
def test_a_rotation_killed_after_its_event_is_completed(keyring: Keyring, tmp_path: Path, finish: str) -> None:
    """Whichever command comes next puts the new key in its place; rotating again does not rotate twice."""
    keyring.signing_key()
    old = (tmp_path / ".dlfd/signing_key.pem").read_bytes()
    rotation = keyring.rotate()
    private = tmp_path / ".dlfd/signing_key.pem"
    private.rename(tmp_path / ".dlfd/next_signing_key.pem")
    private.write_bytes(old)
    private.chmod(0o600)
    if finish == "rotate":
        assert keyring.rotate() == rotation
    assert keyring.signing_key().public.key_id == rotation.key_id
    assert not (tmp_path / ".dlfd/next_signing_key.pem").exists()


def test_the_environment_holds_the_key(keyring: Keyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a variable or from the file that one names; rotating takes over the new one there, and never an old one.

    The repository holds no file of the old one then: it is named, so that it can sign its successor.
    """
    monkeypatch.setenv("DLFD_SIGNING_KEY", A.pem())
    assert keyring.signing_key() == A
    old = tmp_path / "old.pem"
    create_secret(old, A.pem())
    with pytest.raises(BadInput, match="the key in use"):
        keyring.rotate(old_key=old)
    monkeypatch.delenv("DLFD_SIGNING_KEY")
    secret = tmp_path / "mounted.pem"
    secret.write_text(B.pem())
    secret.chmod(0o600)
    monkeypatch.setenv("DLFD_SIGNING_KEY_FILE", str(secret))
    with pytest.raises(BadInput, match=f"key id {B.public.key_id} from DLFD_SIGNING_KEY_FILE"):
        keyring.signing_key()
    with pytest.raises(BadInput, match="--old-key"):
        keyring.rotate()
    with pytest.raises(BadInput, match="the file of the signing key in use"):
        keyring.rotate(old_key=secret)
    assert keyring.rotate(old_key=old) == Rotation(B.public.key_id, A.public.key_id, endorsed=True)
    assert keyring.signing_key() == B
    assert not (tmp_path / ".dlfd/signing_key.pem").exists()
    with pytest.raises(BadInput, match="the key in use"):
        keyring.rotate()
    create_secret(tmp_path / "mounted_before.pem", B.pem())
    secret.write_text(A.pem())
    with pytest.raises(BadInput, match="replaced before"):
        keyring.rotate(old_key=tmp_path / "mounted_before.pem")
    monkeypatch.setenv("DLFD_SIGNING_KEY", C.pem())
    with pytest.raises(BadInput, match="one place"):
        keyring.signing_key()


def test_a_lost_key_is_not_silently_replaced(keyring: Keyring, tmp_path: Path) -> None:
    """A fresh clone without the private key stops and says what to do; going without its signature is deliberate."""
    lost = keyring.signing_key()
    (tmp_path / ".dlfd/signing_key.pem").unlink()
    with pytest.raises(BadInput, match="must be at hand"):
        keyring.signing_key()
    with pytest.raises(BadInput, match="--lost"):
        keyring.rotate()
    rotation = keyring.rotate(lost=True)
    assert (rotation.replaces, rotation.endorsed) == (lost.public.key_id, False)
    assert keyring.signing_key() != lost


def test_a_damaged_key_is_a_lost_one(keyring: Keyring, tmp_path: Path) -> None:
    """It cannot sign; that it goes is said on purpose."""
    keyring.signing_key()
    (tmp_path / ".dlfd/signing_key.pem").write_text("damaged")
    with pytest.raises(BadInput, match="Ed25519"):
        keyring.rotate()
    assert not keyring.rotate(lost=True).endorsed


@pytest.mark.parametrize(
    "content",
    ["", "no key", A.public.pem().decode(), A.pem().replace("PRIVATE", "PUBLIC"), A.pem()[:40]],
    ids=["empty", "text", "public", "relabelled", "truncated"],
)
def test_what_is_no_private_key_is_refused_and_not_shown(
    keyring: Keyring, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    """One line without the content."""
    monkeypatch.setenv("DLFD_SIGNING_KEY", content)
    with pytest.raises(BadInput, match="not shown"):
        keyring.signing_key()


def test_a_private_key_that_others_read_is_refused(keyring: Keyring, tmp_path: Path) -> None:
    """The remedy is named."""
    keyring.signing_key()
    (tmp_path / ".dlfd/signing_key.pem").chmod(0o640)
    with pytest.raises(BadInput, match="chmod 600"):
        keyring.signing_key()


@pytest.mark.parametrize("content", [b"", b"no key", A.pem().encode(), A.public.pem()])
def test_a_published_key_is_a_key_under_its_own_name(keyring: Keyring, tmp_path: Path, content: bytes) -> None:
    """No key, a private key, or a key under another name: one line."""
    keyring.signing_key()
    (tmp_path / "audit/keys" / f"{'0' * 64}.pem").write_bytes(content)
    with pytest.raises(BadInput):
        keyring.public_keys()
