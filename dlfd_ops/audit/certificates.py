"""Certificates as files: signed once, kept as they are, told from what was tampered with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from dlfd_ops.audit.chain import Event
from dlfd_ops.audit.envelope import MAX_ENVELOPE_BYTES, Envelope
from dlfd_ops.audit.keyring import Keyring
from dlfd_ops.audit.ledger import Ledger
from dlfd_ops.audit.signing import PublicKey
from dlfd_ops.audit.statement import EvaluationStatement, ModelStatement, RequestStatement, Statement, parse_statement
from dlfd_ops.digest import sha256_bytes
from dlfd_ops.errors import CheckFailed
from dlfd_ops.files import read_bounded, write_bytes

AnyCertificate = TypeVar("AnyCertificate", ModelStatement, RequestStatement)

CERTIFICATES = Path("audit/certificates")
EVIDENCE = Path("audit/evidence.json")


@dataclass(frozen=True)
class Signed:
    """A signed statement as it was read.

    Attributes:
        statement: what is stated.
        key_ids: the keys whose signature was checked and holds.
        digest: SHA-256 of the file.
    """

    statement: Statement
    key_ids: tuple[str, ...]
    digest: str


def version_certificate(model_name: str, version: int) -> Path:
    """Return where the certificate of a version lies, relative to the repository."""
    # Quoted: a model may be named with anything, and two names must not meet in one file.
    return CERTIFICATES / f"{quote(model_name, safe='')}-v{version}.json"


def request_certificate(request_id: str) -> Path:
    """Return where the certificate of a request lies, relative to the repository."""
    return CERTIFICATES / f"{request_id}.json"


def open_signed(content: bytes, keys: Mapping[str, PublicKey], *, what: str) -> Signed:
    """Read a signed statement and check its signatures.

    Args:
        content: bytes of the file.
        keys: the public keys that are trusted, by id.
        what: how to name the file in an error.

    Raises:
        BadInput: it is no signed statement.
        CheckFailed: none of the keys has signed it.
    """
    envelope = Envelope.from_bytes(content, what=what)
    signers = tuple(signed.keyid for signed in envelope.signatures)
    held = tuple(key_id for key_id in signers if key_id in keys and keys[key_id].has_signed(envelope))
    if not held:
        known = any(key_id in keys for key_id in signers)
        raise CheckFailed(
            f"{what} must bear the signature of a known key",
            received="a signature that does not fit its content" if known else f"one of the unknown key {signers[0]}",
            remedy="restore it from git, or get the signer's public key from somebody you trust",
        )
    return Signed(parse_statement(envelope.content, what=what), held, sha256_bytes(content))


def read_signed(path: Path, keys: Mapping[str, PublicKey], *, what: str) -> Signed:
    """Read the file of a signed statement, see :func:`open_signed`."""
    return open_signed(read_bounded(path, max_bytes=MAX_ENVELOPE_BYTES, what=what), keys, what=what)


def sign_evaluation(path: Path, statement: EvaluationStatement, keyring: Keyring) -> None:
    """Sign what was measured and write it; the same measurement gives the same bytes."""
    write_bytes(path, keyring.signing_key().sign(statement.canonical()).to_bytes())


class Issuer:
    """Who issues certificates in a repository, once for each content.

    Args:
        root: the repository.
        ledger: its ledger.
    """

    def __init__(self, root: Path, ledger: Ledger) -> None:
        self._root = root
        self._ledger = ledger
        self._keyring = Keyring(root, ledger)

    def issue(self, path: Path, statement: AnyCertificate, request_ids: Sequence[str]) -> tuple[AnyCertificate, str]:
        """Write, sign and record a certificate; one that says the same already is kept as it is.

        The position in the ledger does not count as content: a certificate is not written anew because time went by.

        Args:
            path: where it lies, relative to the repository.
            statement: what it says.
            request_ids: the requests that it concerns.

        Returns:
            What the certificate says, and the SHA-256 of its file.

        Raises:
            CheckFailed: the file that stands there is not what was signed, or the ledger names one that is lost.
            BadInput: the signing key is not at hand.
        """
        key = self._keyring.signing_key()
        standing = self.standing(path)
        if standing is not None and (kept := _kept(standing.statement, statement)) is not None:
            statement, digest, key_id = kept, standing.digest, standing.key_ids[0]
        else:
            if standing is None and recorded_digest(self._ledger.events(), path.stem) is not None:
                raise CheckFailed(
                    f"{path} must be there: the ledger names it",
                    received="no such file",
                    remedy="restore it from git",
                )
            content = key.sign(statement.canonical()).to_bytes()
            digest, key_id = sha256_bytes(content), key.public.key_id
            write_bytes(self._root / path, content)
        self._ledger.append(
            "certified", {"name": path.stem, "digest": digest, "key_id": key_id, "request_ids": list(request_ids)}
        )
        return statement, digest

    def standing(self, path: Path) -> Signed | None:
        """Return the certificate that stands at ``path``, None where there is none.

        Raises:
            BadInput: the file is no certificate.
            CheckFailed: no key of this repository has signed it.
        """
        if not (self._root / path).exists():
            return None
        return read_signed(self._root / path, self._keyring.public_keys(), what=str(path))


def recorded_digest(events: Sequence[Event], name: str) -> str | None:
    """Return the digest of the newest certificate of this name by the ledger, None where it knows none."""
    found = [event for event in events if event.kind == "certified" and event.data["name"] == name]
    return str(found[-1].data["digest"]) if found else None


def _kept(standing: Statement, wanted: AnyCertificate) -> AnyCertificate | None:
    """Return the standing statement where it says what is wanted, wherever the ledger ended at its time."""
    if not isinstance(standing, type(wanted)):
        return None
    there = standing.predicate.model_copy(update={"ledger": wanted.predicate.ledger})
    return standing if (standing.subject, there) == (wanted.subject, wanted.predicate) else None
